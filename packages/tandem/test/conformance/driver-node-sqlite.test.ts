import { DatabaseSync } from 'node:sqlite'
import { describe, it } from 'vitest'
import { register } from '../../src/conformance/case.ts'
import { driverConformance } from '../../src/conformance/driver.ts'
import { nodeSqlite } from '../../src/drivers/node-sqlite.ts'
import { sqliteConformance } from './sqlite-fixture.ts'

const connect = (file: string): DatabaseSync => new DatabaseSync(file)

for (const where of ['file', 'memory'] as const) {
  const byName = { name: 'node-sqlite by name', connect, driver: ({ file }: { file: string }) => nodeSqlite(file) }
  register(driverConformance(sqliteConformance(byName, where)), { describe, it })

  const handedIn = {
    name: 'node-sqlite handed in',
    connect,
    driver: (source: { connect: () => DatabaseSync }) => nodeSqlite(source.connect()),
  }
  register(driverConformance(sqliteConformance(handedIn, where)), { describe, it })
}
