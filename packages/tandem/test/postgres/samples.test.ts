import { describe } from 'vitest'
import * as drizzle from '../../../../examples/drivers/src/drizzle.ts'
import * as knex from '../../../../examples/drivers/src/knex.ts'
import * as kysely from '../../../../examples/drivers/src/kysely.ts'
import * as mikroOrm from '../../../../examples/drivers/src/mikro-orm.ts'
import * as pg from '../../../../examples/drivers/src/pg.ts'
import * as postgresJs from '../../../../examples/drivers/src/postgres-js.ts'
import * as prisma from '../../../../examples/drivers/src/prisma.ts'
import * as sequelize from '../../../../examples/drivers/src/sequelize.ts'
import * as typeorm from '../../../../examples/drivers/src/typeorm.ts'
import { createDatabase, hasPostgres, query } from '../support/postgres.ts'
import { runSamples, type SampleDatabase } from '../support/samples.ts'

async function create(): Promise<SampleDatabase> {
  const { tcp, drop } = await createDatabase()
  const { user, host, port, database } = tcp
  const url = `postgres://${user}@${host}:${port}/${database}`
  const run: SampleDatabase['query'] = async (...statements) => {
    let rows: Awaited<ReturnType<typeof query>> = []
    for (const sql of statements) rows = await query(tcp, sql)
    return rows
  }
  return { url, query: run, drop }
}

describe.skipIf(!hasPostgres)('the samples of docs/guides/drivers.md run on PostgreSQL', () => {
  runSamples(
    { drizzle, knex, kysely, 'mikro-orm': mikroOrm, pg, 'postgres-js': postgresJs, prisma, sequelize, typeorm },
    create,
  )
})
