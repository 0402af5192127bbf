import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { pg } from '../../../src/drivers/pg.ts'
import { postgres } from '../../../src/stores/postgres/index.ts'

const driver = pg({ connect: () => Promise.reject(new Error('no server')), on: () => undefined } as never)

describe('options', () => {
  const code = (expected: string): unknown => expect.objectContaining({ code: expected })

  it.each(['tandem', 'order', '_1', 'a'.repeat(63)])('takes the schema %j', (schema) => {
    expect(postgres(driver, { schema }).name).toBe('postgres on pg')
  })

  it.each([
    '',
    'Tandem',
    '1a',
    'a b',
    'a"b',
    'pg_tandem',
    'information_schema',
    'x"; DROP TABLE orders; --',
    'a'.repeat(64),
  ])('refuses the schema %j', (schema) => {
    expect(() => postgres(driver, { schema })).toThrow(code('CONFIG_INVALID'))
  })

  it('refuses what is not a PostgreSQL driver, and options that nothing reads', () => {
    expect(() => postgres(undefined as never)).toThrow(code('CONFIG_INVALID'))
    expect(() => postgres({ dialect: 'sqlite' } as never)).toThrow(code('CONFIG_INVALID'))
    expect(() => postgres(driver, { migrate: 'yes' } as never)).toThrow(code('CONFIG_INVALID'))
    expect(() => postgres(driver, { tablePrefix: 'x_' } as never)).toThrow(code('OPTION_UNKNOWN'))
  })
})

it('the numbered file names everything in one schema, and nothing that is newer than PostgreSQL 13', async () => {
  const sql = await readFile(new URL('../../../sql/postgres/0001_tandem.sql', import.meta.url), 'utf8')
  const statements = sql.replaceAll(/--[^\n]*/g, '').split(';')
  expect(statements.pop()?.trim()).toBe('')
  for (const statement of statements) {
    expect(statement.trim()).toMatch(
      /^(?:CREATE (?:TABLE|SEQUENCE) tandem\.\w+|ALTER SEQUENCE tandem\.\w+ OWNED|CREATE (?:UNIQUE )?INDEX \w+ ON tandem\.\w+ |INSERT INTO tandem\.\w+|DELETE FROM tandem\.\w+$|ANALYZE tandem\.\w+)/,
    )
  }
  expect(sql).toMatch(/^-- breaking: (yes|no)$/m)
  expect(sql).not.toMatch(/NULLS NOT DISTINCT|COMPRESSION|INCLUDE|VIRTUAL/)
})
