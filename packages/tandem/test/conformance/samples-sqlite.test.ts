import { mkdtempSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe } from 'vitest'
import * as betterSqlite3 from '../../../../examples/drivers/src/better-sqlite3.ts'
import * as nodeSqlite from '../../../../examples/drivers/src/node-sqlite.ts'
import { runSamples, type SampleDatabase } from '../support/samples.ts'

function create(): Promise<SampleDatabase> {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-sample-'))
  const url = join(folder, 'shop.db')
  const db = new DatabaseSync(url)
  return Promise.resolve({
    url,
    query: (...statements) => {
      const rows = statements.map((sql) => db.prepare(sql).all())
      // Plain objects, where node:sqlite gives such without a prototype.
      return Promise.resolve((rows.at(-1) ?? []).map((row) => ({ ...row })))
    },
    drop: () => {
      db.close()
      rmSync(folder, { recursive: true, maxRetries: 3 })
      return Promise.resolve()
    },
  })
}

describe('the samples of docs/guides/drivers.md run on SQLite', () => {
  runSamples({ 'better-sqlite3': betterSqlite3, 'node-sqlite': nodeSqlite }, create)
})
