// The libraries for MySQL and MariaDB, each in its own words, so that one test can be run with all of them.
import callbacks from 'mysql2'
import promises from 'mysql2/promise'
import { mysql2 } from '../../src/drivers/mysql2.ts'
import { settingsOf, timeoutOf, type Library } from './library.ts'

export type { LibraryOptions, Opened } from './library.ts'

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
