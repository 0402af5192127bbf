import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sqlite } from '../../src/brokers/sqlite/index.ts'
import type { BrokerConformanceOptions } from '../../src/conformance/broker.ts'
import { nodeSqlite, type NodeSqliteTransaction } from '../../src/drivers/node-sqlite.ts'
import type { Broker } from '../../src/spi/broker.ts'
import type { Driver } from '../../src/spi/driver.ts'

const MAX_BODY_BYTES = 65_536

/** The conformance options of the SQLite broker, on a file of its own for each case. */
export function sqliteBrokerConformance(): BrokerConformanceOptions {
  return {
    name: 'sqlite',
    capabilities: {
      durable: true,
      countsDeliveries: true,
      stopsKeyOnFailure: true,
      replaysToNewGroups: true,
      maxBodyBytes: MAX_BODY_BYTES,
    },
    kills: true,
    finds: true,
    make: () => {
      const folder = mkdtempSync(join(tmpdir(), 'tandem-broker-'))
      const drivers = new Map<Broker, Driver<NodeSqliteTransaction>>()
      return Promise.resolve({
        connect: () => {
          const driver = nodeSqlite(join(folder, 'broker.db'))
          const broker = sqlite(driver, { lease: 600, maxBodyBytes: MAX_BODY_BYTES })
          drivers.set(broker, driver)
          return broker
        },
        // Without its driver it can say nothing any more, just as if it were dead.
        kill: async (broker) => drivers.get(broker)?.close(),
        dispose: () => {
          rmSync(folder, { recursive: true, maxRetries: 3 })
          return Promise.resolve()
        },
      })
    },
  }
}
