import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { nodeSqlite, type NodeSqliteOptions, type NodeSqliteTransaction } from '../../../src/drivers/node-sqlite.ts'
import type { Driver } from '../../../src/spi/driver.ts'

export interface Place {
  readonly folder: string
  readonly file: string
  /** An open driver on the file, or on what is given instead. */
  driver(source?: Parameters<typeof nodeSqlite>[0], options?: NodeSqliteOptions): Promise<Driver<NodeSqliteTransaction>>
  /** A connection of the user. */
  connect(file?: string): DatabaseSync
}

/** Runs `body` with a folder of its own, then closes and removes whatever it made. */
export async function inPlace(body: (place: Place) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-driver-'))
  const file = join(folder, 'test.db')
  const drivers: Driver<NodeSqliteTransaction>[] = []
  const users: DatabaseSync[] = []
  try {
    await body({
      folder,
      file,
      driver: async (source = file, options) => {
        const driver = nodeSqlite(source, options)
        drivers.push(driver)
        await driver.open({ service: 'test' })
        return driver
      },
      connect: (name = file) => {
        const db = new DatabaseSync(name)
        users.push(db)
        return db
      },
    })
  } finally {
    for (const driver of drivers) await driver.close()
    for (const db of users) if (db.isOpen) db.close()
    rmSync(folder, { recursive: true, maxRetries: 3 })
  }
}
