import Database from 'better-sqlite3'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, it, vi } from 'vitest'
import { register, storeConformance, type StoreFixture } from '../../src/conformance/index.ts'
import { betterSqlite3 } from '../../src/drivers/better-sqlite3.ts'
import { nodeSqlite } from '../../src/drivers/node-sqlite.ts'
import type { Driver } from '../../src/spi/driver.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'

vi.setConfig({ testTimeout: 30_000 })

// A clock that goes on when the test says so, which every connection to the file sees.
const clock = '(SELECT now FROM test_clock)'

async function make<Tx>(driverOn: (file: string) => Driver<Tx>): Promise<StoreFixture<Tx>> {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-store-'))
  const file = join(folder, 'store.db')
  const control = new DatabaseSync(file)
  control.exec('PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 5000; PRAGMA synchronous = OFF')
  control.exec(`CREATE TABLE test_clock (now INTEGER); INSERT INTO test_clock VALUES (${Date.now()})`)
  return {
    store: sqlite(driverOn(file), { clock }),
    sibling: sqlite(driverOn(file), { clock }),
    stranger: sqlite(driverOn(join(folder, 'stranger.db'))),
    advance: async (ms) => {
      control.prepare('UPDATE test_clock SET now = now + ?').run(ms)
    },
    dispose: async () => {
      control.close()
      await rm(folder, { recursive: true, maxRetries: 3 })
    },
  }
}

const capabilities = { concurrentTransactions: false, shards: 8 }

register(
  storeConformance({
    name: 'sqlite on node-sqlite',
    capabilities,
    siblings: true,
    make: () => make((file) => nodeSqlite(file)),
  }),
  { describe, it },
)

register(
  storeConformance({
    name: 'sqlite on better-sqlite3',
    capabilities,
    siblings: true,
    make: () => make((file) => betterSqlite3(() => new Database(file))),
  }),
  { describe, it },
)
