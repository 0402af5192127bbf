import { PGlite } from '@electric-sql/pglite'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe } from 'vitest'
import * as pglite from '../../../../examples/drivers/src/pglite.ts'
import { runSamples, type SampleDatabase } from '../support/samples.ts'

function create(): Promise<SampleDatabase> {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-sample-'))
  return Promise.resolve({
    url: join(folder, 'shop'),
    // Nobody else may have it open.
    query: async (...statements) => {
      const db = await PGlite.create(join(folder, 'shop'))
      let rows: Record<string, unknown>[] = []
      for (const sql of statements) ({ rows } = await db.query<Record<string, unknown>>(sql))
      await db.close()
      return rows
    },
    drop: () => {
      rmSync(folder, { recursive: true, maxRetries: 3 })
      return Promise.resolve()
    },
  })
}

describe('the samples of docs/guides/drivers.md run on PGlite', { timeout: 60_000 }, () => {
  runSamples({ pglite }, create)
})
