import { readFile } from 'node:fs/promises'
import { createPool } from 'mysql2'
import { expect, it } from 'vitest'
import { mysql2 } from '../../../src/drivers/mysql2.ts'
import { mysql } from '../../../src/stores/mysql/index.ts'

// Connects to nothing until it is asked to.
const driver = mysql2(createPool({ host: 'nowhere.invalid' }))
const code = (expected: string): unknown => expect.objectContaining({ code: expected })

it.each(['tandem_', 'order_', 'a_', `${'a'.repeat(31)}_`])('takes the prefix %j', (tablePrefix) => {
  expect(mysql(driver, { tablePrefix }).name).toBe('mysql on mysql2')
})

it('refuses what is not a MySQL driver, and options that nothing reads', () => {
  expect(() => mysql(undefined as never)).toThrow(code('CONFIG_INVALID'))
  expect(() => mysql({ dialect: 'postgres' } as never)).toThrow(code('CONFIG_INVALID'))
  expect(() => mysql(driver, { migrate: 'yes' } as never)).toThrow(code('CONFIG_INVALID'))
  expect(() => mysql(driver, { schema: 'x' } as never)).toThrow(code('OPTION_UNKNOWN'))
})

it('the numbered file names all tables with the prefix, and its statements can be run again', async () => {
  const sql = await readFile(new URL('../../../sql/mysql/0001_tandem.sql', import.meta.url), 'utf8')
  const statements = sql.replaceAll(/--[^\n]*/g, '').split(';')
  expect(statements.pop()?.trim()).toBe('')
  for (const statement of statements) {
    expect(statement.trim()).toMatch(
      /^CREATE TABLE IF NOT EXISTS `tandem_\w+` \(|^INSERT INTO `tandem_\w+`[\s\S]*\nON DUPLICATE KEY UPDATE /,
    )
    if (statement.includes('CREATE')) expect(statement).toContain('COLLATE utf8mb4_nopad_bin')
  }
})
