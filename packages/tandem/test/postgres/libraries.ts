// The libraries for PostgreSQL, each in its own words, so that one test can be run with all of them.
import { Pool, type PoolClient } from 'pg'
import postgres from 'postgres'
import { pg } from '../../src/drivers/pg.ts'
import { postgresJs } from '../../src/drivers/postgres-js.ts'
import type { Driver } from '../../src/spi/driver.ts'
import { drizzleOverPg, drizzleOverPostgresJs } from './libraries-drizzle.ts'
import { knexLibrary } from './libraries-knex.ts'
import { kyselyLibrary } from './libraries-kysely.ts'
import { mikroOrmLibrary } from './libraries-mikro-orm.ts'
import { prismaLibrary } from './libraries-prisma.ts'
import { sequelizeLibrary } from './libraries-sequelize.ts'
import { typeormLibrary } from './libraries-typeorm.ts'
import { timeoutOf, type Library, type Rows } from './library.ts'

const nodePostgres: Library = {
  name: 'pg',
  open: async (address, options = {}) => {
    const settings = Object.entries(options.settings ?? {}).map(([name, value]) => `-c ${name}=${value}`)
    const pool = new Pool({ ...address, max: options.max ?? 5, options: settings.join(' ') })
    const driver = pg(pool, timeoutOf(options))
    await driver.open({ service: 'test' })
    return {
      driver,
      run: async (tx, sql) => (await (tx as PoolClient).query(sql)).rows as Rows,
      begin: async (how, work) => {
        const client = await pool.connect()
        client.on('error', () => undefined)
        try {
          await client.query(`BEGIN ${how}`)
          const result = await work(client)
          await client.query('COMMIT')
          return result
        } catch (error) {
          await client.query('ROLLBACK')
          throw error
        } finally {
          client.release()
        }
      },
      end: async () => {
        await driver.close()
        await pool.end()
      },
    }
  },
}

const postgresJsLibrary: Library = {
  name: 'postgres.js',
  open: async (address, options = {}) => {
    const sql = postgres({
      ...address,
      max: options.max ?? 5,
      onnotice: () => undefined,
      // Starts again at once when the server is back.
      backoff: () => 0.01,
      connection: { ...options.settings },
    })
    const driver = postgresJs(sql, timeoutOf(options))
    await driver.open({ service: 'test' })
    return {
      driver: driver as Driver<object>,
      run: async (tx, text) => (await (tx as postgres.TransactionSql).unsafe(text)) as Rows,
      begin: async (how, work) => (await sql.begin(how, (tx) => work(tx))) as Awaited<ReturnType<typeof work>>,
      end: async () => {
        await driver.close()
        // A connection that was lost in a query never ends by itself.
        await sql.end({ timeout: 1 })
      },
    }
  },
}

export const LIBRARIES: readonly Library[] = [
  nodePostgres,
  postgresJsLibrary,
  drizzleOverPg,
  drizzleOverPostgresJs,
  kyselyLibrary,
  knexLibrary,
  mikroOrmLibrary,
  prismaLibrary,
  sequelizeLibrary,
  typeormLibrary,
]
