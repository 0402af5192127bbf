// The libraries for MySQL and MariaDB, each in its own words, so that one test can be run with all of them.
import callbacks from 'mysql2'
import promises from 'mysql2/promise'
import { mysql2 } from '../../src/drivers/mysql2.ts'
import type { Driver } from '../../src/spi/driver.ts'
import type { MariadbAddress } from '../support/mariadb-server.ts'

type Rows = readonly Record<string, unknown>[]

export interface LibraryOptions {
  /** Size of the pool. Default 5. */
  readonly max?: number
  /** Of the session, for each connection: `{ innodb_lock_wait_timeout: 1 }`. */
  readonly settings?: Readonly<Record<string, string | number>>
  readonly connectionTimeout?: number
}

/** A driver, and what its user does besides. */
export interface Opened {
  readonly driver: Driver<object>
  /** Runs a statement as the user does, on what he has: a transaction of the library. */
  run(tx: object, sql: string): Promise<Rows>
  /**
   * A transaction of the user's own, begun by the means of the library.
   *
   * @param isolation for example `READ COMMITTED`; empty for that of the connection
   */
  begin<T>(isolation: string, work: (tx: object) => Promise<T>): Promise<T>
  end(): Promise<void>
}

export interface Library {
  readonly name: string
  open(address: MariadbAddress, options?: LibraryOptions): Promise<Opened>
}

const timeoutOf = ({ connectionTimeout }: LibraryOptions): { readonly connectionTimeout?: number } =>
  connectionTimeout === undefined ? {} : { connectionTimeout }

/** Statements that a new connection begins with. */
function settingsOf({ settings = {} }: LibraryOptions): string[] {
  return Object.entries(settings).map(([name, value]) => `SET SESSION ${name} = ${value}`)
}

const withPromises: Library = {
  name: 'mysql2',
  open: async (address, options = {}) => {
    const pool = promises.createPool({ ...address, connectionLimit: options.max ?? 5 })
    pool.pool.on('connection', (connection) => {
      for (const sql of settingsOf(options)) connection.query(sql)
    })
    const driver = mysql2(pool, timeoutOf(options))
    await driver.open({ service: 'test' })
    return {
      driver,
      run: async (tx, sql) => {
        const [rows] = await (tx as promises.PoolConnection).query(sql)
        return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : []
      },
      begin: async (isolation, work) => {
        const connection = await pool.getConnection()
        try {
          if (isolation !== '') await connection.query(`SET TRANSACTION ISOLATION LEVEL ${isolation}`)
          await connection.beginTransaction()
          const result = await work(connection)
          await connection.commit()
          return result
        } catch (error) {
          await connection.rollback()
          throw error
        } finally {
          connection.release()
        }
      },
      end: async () => {
        await driver.close()
        await pool.end()
      },
    }
  },
}

const withCallbacks: Library = {
  name: 'mysql2, callbacks',
  open: async (address, options = {}) => {
    const pool = callbacks.createPool({ ...address, connectionLimit: options.max ?? 5 })
    pool.on('connection', (connection) => {
      for (const sql of settingsOf(options)) connection.query(sql)
    })
    const driver = mysql2(pool, timeoutOf(options))
    await driver.open({ service: 'test' })
    type Done = (error: Error | null, result?: unknown) => void
    const call = <T>(act: (done: Done) => void): Promise<T> =>
      new Promise((resolve, reject) => {
        act((error, result) => (error === null ? resolve(result as T) : reject(error)))
      })
    const run = (tx: object, sql: string): Promise<unknown> =>
      call((done) => void (tx as callbacks.PoolConnection).query(sql, done))
    return {
      driver,
      run: async (tx, sql) => {
        const rows = await run(tx, sql)
        return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : []
      },
      begin: async (isolation, work) => {
        const connection = await call<callbacks.PoolConnection>((done) => pool.getConnection(done))
        try {
          if (isolation !== '') await run(connection, `SET TRANSACTION ISOLATION LEVEL ${isolation}`)
          await call((done) => connection.beginTransaction(done))
          const result = await work(connection)
          await call((done) => connection.commit(done))
          return result
        } catch (error) {
          await call((done) => connection.rollback(done))
          throw error
        } finally {
          connection.release()
        }
      },
      end: async () => {
        await driver.close()
        await pool.promise().end()
      },
    }
  },
}

export const LIBRARIES: readonly Library[] = [withPromises, withCallbacks]
