// Against the real library, which installs prebuilt.
import Database from 'better-sqlite3'
import { describe, it } from 'vitest'
import { register } from '../../src/conformance/case.ts'
import { driverConformance } from '../../src/conformance/driver.ts'
import { betterSqlite3 } from '../../src/drivers/better-sqlite3.ts'
import { sqliteConformance } from './sqlite-fixture.ts'

const connect = (file: string): Database.Database => new Database(file)

for (const where of ['file', 'memory'] as const) {
  const made = {
    name: 'better-sqlite3 made by a function',
    // The function's database is closed by the driver; closing it again does no harm.
    connect,
    driver: (source: { connect: () => Database.Database }) => betterSqlite3(() => source.connect()),
  }
  register(driverConformance(sqliteConformance(made, where)), { describe, it })

  const handedIn = {
    name: 'better-sqlite3 handed in',
    connect,
    driver: (source: { connect: () => Database.Database }) => betterSqlite3(source.connect()),
  }
  register(driverConformance(sqliteConformance(handedIn, where)), { describe, it })
}
