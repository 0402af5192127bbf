import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DriverConformanceOptions, DriverFixture } from '../../src/conformance/driver.ts'
import type { Driver } from '../../src/spi/driver.ts'

interface Connected {
  close(): void
}

/** How one way to hand a database in is made into drivers. What `connect` returns is the user's, and is closed at the end. */
interface Variant<Db extends Connected, Tx> {
  readonly name: string
  readonly connect: (file: string) => Db
  readonly driver: (source: { readonly file: string; readonly connect: () => Db }) => Driver<Tx>
}

/** The conformance options of a driver of SQLite for one way to hand the database in. */
export function sqliteConformance<Db extends Connected, Tx>(
  variant: Variant<Db, Tx>,
  where: 'file' | 'memory',
): DriverConformanceOptions<Tx> {
  return {
    name: `${variant.name}, ${where === 'file' ? 'a file' : 'in memory'}`,
    dialect: 'sqlite',
    capabilities: { concurrentTransactions: false },
    siblings: where === 'file',
    make: () => Promise.resolve(makeFixture(variant, where)),
  }
}

function makeFixture<Db extends Connected, Tx>(variant: Variant<Db, Tx>, where: 'file' | 'memory'): DriverFixture<Tx> {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-driver-'))
  const users: Db[] = []
  const driverOn = (name: string): Driver<Tx> => {
    const file = where === 'memory' ? ':memory:' : join(folder, name)
    const connect = (): Db => {
      const db = variant.connect(file)
      users.push(db)
      return db
    }
    return variant.driver({ file, connect })
  }
  return {
    driver: driverOn('here.db'),
    sibling: where === 'memory' ? undefined : driverOn('here.db'),
    stranger: driverOn('elsewhere.db'),
    dispose: () => {
      for (const db of users) db.close()
      rmSync(folder, { recursive: true, maxRetries: 3 })
      return Promise.resolve()
    },
  }
}
