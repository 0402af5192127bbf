// The server that the other tests stand on.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MariadbServer } from '../support/mariadb-server.ts'
import { createMariadb, executeMariadb, hasMariadb, queryMariadb } from '../support/mariadb.ts'

describe.skipIf(!hasMariadb)('the MariaDB of the tests', () => {
  let own: MariadbServer

  beforeAll(async () => {
    own = await MariadbServer.start({ settings: { innodb_lock_wait_timeout: 7 } })
  })
  afterAll(() => own.dispose())

  test('is reached over TCP and over a socket, and is as strict as it comes', async () => {
    const database = await createMariadb()
    for (const address of [database.tcp, database.socket]) {
      const [row] = await queryMariadb(address, 'SELECT database() AS db, @@sql_mode AS mode, @@time_zone AS zone')
      expect(row).toMatchObject({ db: database.tcp.database, zone: '+05:30' })
      expect(row?.['mode']).toMatch(/STRICT_TRANS_TABLES/)
    }
    await database.drop()
    await expect(queryMariadb(database.tcp, 'SELECT 1')).rejects.toMatchObject({ code: 'ER_BAD_DB_ERROR' })
  })

  test('keeps its data and its port when it is killed, and its settings', async () => {
    await executeMariadb(own.address(), 'CREATE DATABASE kept; CREATE TABLE kept.t (id int PRIMARY KEY)')
    await executeMariadb(own.address(), 'INSERT INTO kept.t VALUES (1)')
    const first = own.pid
    await own.crash()
    expect(own.pid).not.toBe(first)
    expect(await queryMariadb(own.address('kept'), 'SELECT id, @@innodb_lock_wait_timeout AS s FROM t')).toEqual([
      { id: 1, s: 7 },
    ])
    await own.kill()
    await expect(queryMariadb(own.address('kept'), 'SELECT 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await own.restart()
    expect(await queryMariadb(own.address('kept', 'socket'), 'SELECT id FROM t')).toEqual([{ id: 1 }])
  })

  test('answers nobody while it is frozen', async () => {
    const order: string[] = []
    own.freeze()
    const answered = queryMariadb(own.address('kept'), 'SELECT 1 AS one').then(() => order.push('answered'))
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
    order.push('thawed')
    own.thaw()
    await answered
    expect(order).toEqual(['thawed', 'answered'])
  })
})
