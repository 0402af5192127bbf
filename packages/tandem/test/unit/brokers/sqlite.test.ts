import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { sqlite, type SqliteBrokerOptions } from '../../../src/brokers/sqlite/index.ts'
import { SqliteLog } from '../../../src/brokers/sqlite/log.ts'
import {
  laneOf,
  Positions,
  type Exchange,
  type MemberInfo,
  type PositionChange,
} from '../../../src/brokers/sqlite/positions.ts'
import { expireMessages } from '../../../src/brokers/sqlite/retention.ts'
import { numbered, publishTo, series, textMessage, textOf } from '../../../src/conformance/broker-kit.ts'
import { nodeSqlite } from '../../../src/drivers/node-sqlite.ts'
import type { Broker, Delivery } from '../../../src/spi/broker.ts'
import type { Driver } from '../../../src/spi/driver.ts'
import { turns, until } from '../../support/clock.ts'
import { refusal, thrown } from '../../support/errors.ts'

let folder = ''
let file = ''
let brokers: Broker[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tandem-broker-'))
  file = join(folder, 'broker.db')
  brokers = []
})

afterEach(async () => {
  await Promise.all(brokers.map((broker) => broker.close(2000)))
  rmSync(folder, { recursive: true, maxRetries: 3 })
})

function make(options: SqliteBrokerOptions = {}, where = file): Broker {
  const broker = sqlite(nodeSqlite(where), options)
  brokers.push(broker)
  return broker
}

async function open(options: SqliteBrokerOptions = {}, where = file): Promise<Broker> {
  const broker = make(options, where)
  await broker.open({ service: 'test' })
  return broker
}

interface Got {
  readonly texts: string[]
  readonly deliveries: Delivery[]
  count(n: number): Promise<void>
  readonly stop: () => Promise<void>
}

async function consume(
  broker: Broker,
  options: { readonly ack?: boolean; readonly maxInFlight?: number } = {},
): Promise<Got> {
  const texts: string[] = []
  const deliveries: Delivery[] = []
  let wake = (): void => undefined
  const { ack = true, maxInFlight = 100 } = options
  const consumption = await broker.consume({ group: 'group', topics: ['topic'], maxInFlight }, (delivery) => {
    texts.push(textOf(delivery.message))
    deliveries.push(delivery)
    if (ack) delivery.ack()
    wake()
  })
  return {
    texts,
    deliveries,
    count: async (n) => {
      while (texts.length < n) await new Promise<void>((resolve) => (wake = resolve))
    },
    stop: () => consumption.stop(2000),
  }
}

/** Rows as somebody else sees them. */
function rows(sql: string): Record<string, unknown>[] {
  const db = new DatabaseSync(file, { readOnly: true })
  try {
    return db.prepare(sql).all()
  } finally {
    db.close()
  }
}

describe('the SQLite broker', () => {
  test('makes its tables once, when many open it at the same time', async () => {
    await Promise.all(Array.from({ length: 5 }, () => open()))
    expect(rows('SELECT version FROM broker_schema')).toEqual([{ version: 1 }])
  })

  test('does not touch tables of a later version', async () => {
    await open()
    const db = new DatabaseSync(file)
    db.exec('INSERT INTO broker_schema VALUES (7, 0)')
    db.close()
    const error = await refusal('SCHEMA_TOO_NEW', () => open())
    expect(error.message).toContain('version 7')
  })

  test('takes a driver of SQLite and nothing else, and only options that it knows', async () => {
    const driver = nodeSqlite(file)
    thrown('CONFIG_INVALID', () => sqlite({ ...driver, dialect: 'postgres' }))
    thrown('CONFIG_INVALID', () => sqlite(undefined as unknown as Driver<unknown>))
    thrown('OPTION_UNKNOWN', () => sqlite(driver, { leases: 1 } as object))
    thrown('CONFIG_INVALID', () => sqlite(driver, { lease: 1 }))
    thrown('CONFIG_INVALID', () => sqlite(driver, { pollInterval: 0 }))
  })

  test('refuses to work before it is opened, and says why it cannot be opened', async () => {
    await refusal('LIFECYCLE', () => publishTo(make(), series('topic', 'a', 1)))
    const nowhere = make({}, join(folder, 'no', 'such', 'folder', 'broker.db'))
    await refusal('BROKER_UNAVAILABLE', () => nowhere.open({ service: 'test' }))
    expect(await nowhere.health()).toMatchObject({ ok: false })
  })

  test('works in memory, for one process', async () => {
    const broker = await open({ pollInterval: 60_000 }, ':memory:')
    const got = await consume(broker)
    await publishTo(broker, series('topic', 'a', 3))
    await got.count(3)
    expect(got.texts).toEqual(numbered('a', 3))
  })

  test('publishes any number of messages in array order', async () => {
    const broker = await open()
    let all = 0
    for (const count of [1, 3, 4, 15, 63, 64, 65, 200]) {
      const outcomes = await publishTo(broker, series('topic', 'a', count, all + 1))
      expect(outcomes).toHaveLength(count)
      all += count
    }
    const bodies = rows('SELECT CAST(body AS TEXT) AS text FROM broker_message ORDER BY sequence')
    expect(bodies.map(({ text }) => text)).toEqual(numbered('a', all))
  })

  test('publishes all of a call or nothing', async () => {
    const broker = await open()
    await publishTo(broker, series('topic', 'a', 1))
    const db = new DatabaseSync(file)
    db.exec(`CREATE TRIGGER refuse BEFORE INSERT ON broker_message WHEN new.key = 'bad'
      BEGIN SELECT RAISE(ABORT, 'refused by a trigger'); END`)
    db.close()
    const messages = [...series('topic', 'a', 1, 2), ...series('topic', 'bad', 1), ...series('topic', 'a', 1, 3)]
    const error = await refusal('BROKER_UNAVAILABLE', () => publishTo(broker, messages))
    expect(error.message).toContain('refused by a trigger')
    expect(rows('SELECT count(*) AS n FROM broker_message')).toEqual([{ n: 1 }])
  })

  test('writes positions in batches, not for each message', async () => {
    const broker = await open()
    const db = new DatabaseSync(file)
    db.exec(`CREATE TABLE writes (at INTEGER)`)
    await broker.ensure({ topics: [], groups: [{ group: 'group', topics: ['topic'] }] })
    db.exec(
      `CREATE TRIGGER count_writes AFTER UPDATE OF position ON broker_position BEGIN INSERT INTO writes VALUES (1); END`,
    )
    db.close()
    const got = await consume(broker)
    await publishTo(broker, series('topic', 'a', 2000))
    await got.count(2000)
    await got.stop()
    const [write] = rows('SELECT count(*) AS n FROM writes')
    expect(write?.['n']).toBeLessThan(200)
    expect(rows('SELECT max(position) AS position FROM broker_position')).toEqual([{ position: 2000 }])
  })

  test('writes the position of what is passed, not of what is acked behind a message that is out', async () => {
    const broker = await open()
    const got = await consume(broker, { ack: false })
    await publishTo(broker, series('topic', 'a', 5))
    await got.count(5)
    for (const index of [0, 1, 3, 4]) got.deliveries[index]?.ack()
    await got.stop()
    const again = await consume(broker)
    await again.count(3)
    expect(again.texts).toEqual(numbered('a', 3, 3))
  })

  test('reads a backlog by partition and goes over to the tail, whatever the size of the messages', async () => {
    const broker = await open()
    const keys = Array.from({ length: 40 }, (_, index) => `key${index}`)
    await broker.ensure({ topics: [], groups: [{ group: 'group', topics: ['topic'] }] })
    const publish = async (from: number): Promise<void> => {
      await publishTo(
        broker,
        keys.flatMap((key) => series('topic', key, 50, from)),
      )
      // Of another topic, and large.
      await publishTo(broker, series('other', 'a', 500))
      const large = { ...textMessage('topic', 'large', ''), body: new Uint8Array(2_000_000) }
      await publishTo(
        broker,
        Array.from({ length: 10 }, () => large),
      )
    }
    await publish(1)
    const got = await consume(broker, { maxInFlight: 10 })
    await got.count(500)
    await publish(51)
    await got.count(4020)
    for (const key of keys) {
      expect(got.texts.filter((text) => text.startsWith(`${key}-`))).toEqual(numbered(key, 100))
    }
  })

  test('delivers all of a burst that is larger than what it reads at one time', async () => {
    const broker = await open()
    const got = await consume(broker, { maxInFlight: 5 })
    await publishTo(broker, series('topic', 'a', 1))
    await got.count(1)
    await publishTo(
      broker,
      ['a', 'b', 'c', 'd'].flatMap((key) => series('topic', key, 5000, 2)),
    )
    await got.count(20_001)
    for (const key of ['b', 'c', 'd']) {
      expect(got.texts.filter((text) => text.startsWith(key))).toEqual(numbered(key, 5000, 2))
    }
  })

  test('hands partitions over in the middle of a backlog', async () => {
    const keys = Array.from({ length: 24 }, (_, index) => `key${index}`)
    const [one, two] = [await open(), await open()]
    await publishTo(
      one,
      keys.flatMap((key) => series('topic', key, 300)),
    )
    // There is always something out.
    let acked = 0
    const ack = (delivery: Delivery): void => {
      delivery.ack()
      acked += 1
    }
    const later = (delivery: Delivery): void => void setImmediate(() => setImmediate(ack, delivery))
    await one.consume({ group: 'group', topics: ['topic'], maxInFlight: 100 }, later)
    const second = await consume(two)
    await second.count(1)
    expect(acked).toBeLessThan(24 * 300)
  })

  test('lets the first message of a partition go alone after a death, until it is acked', async () => {
    const driver = nodeSqlite(file)
    const dying = sqlite(driver, { lease: 200 })
    await dying.open({ service: 'dying' })
    const out = await consume(dying, { ack: false })
    await publishTo(dying, series('topic', 'a', 5))
    await out.count(5)
    await driver.close()
    const heir = await consume(await open(), { ack: false })
    await heir.count(1)
    await turns()
    expect(heir.texts).toEqual(['a-1'])
    heir.deliveries[0]?.ack()
    await heir.count(5)
    expect(heir.texts).toEqual(numbered('a', 5))
    expect(heir.deliveries.map(({ attempt }) => attempt)).toEqual([2, 2, 2, 2, 2])
    await dying.close(0)
  })

  test('finds what was published without a ring, by polling, and does so more often from then on', async () => {
    const broker = await open({ pollInterval: 20 })
    const got = await consume(broker)
    const driver = nodeSqlite(file)
    await driver.open({ service: 'silent' })
    const log = new SqliteLog(driver)
    for (const n of [1, 2, 3]) {
      await driver.transaction((tx) => log.append(series('topic', 'a', 1, n), tx))
      await got.count(n)
    }
    expect(got.texts).toEqual(numbered('a', 3))
    await driver.close()
  })

  test('gives a message again when the consumer throws', async () => {
    const broker = await open()
    let throws = true
    const attempts: number[] = []
    const { promise, resolve } = Promise.withResolvers<void>()
    await broker.consume({ group: 'group', topics: ['topic'], maxInFlight: 10 }, (delivery) => {
      attempts.push(delivery.attempt)
      if (throws) {
        throws = false
        throw new Error('a mistake of the consumer')
      }
      delivery.ack()
      resolve()
    })
    await publishTo(broker, series('topic', 'a', 1))
    await promise
    expect(attempts).toEqual([1, 2])
  })

  test('shares out the partitions, and gives each to one member', async () => {
    const members = await Promise.all([open(), open(), open()])
    await Promise.all(members.map((broker) => consume(broker)))
    const owned = (): unknown[] =>
      rows('SELECT count(*) AS n FROM broker_position WHERE owner IS NOT NULL GROUP BY owner ORDER BY 1').map(
        ({ n }) => n,
      )
    await until(() => owned().join() === '2,3,3', 'partitions are shared out 3, 3 and 2')
  })

  test('shares out what a dead member held at once, without asking over and over', async () => {
    const driver = nodeSqlite(file)
    const dying = sqlite(driver, { lease: 300 })
    await dying.open({ service: 'dying' })
    await consume(dying)
    await Promise.all([consume(await open({ lease: 300 })), consume(await open({ lease: 300 }))])
    const owned = (): unknown[] =>
      rows('SELECT count(*) AS n FROM broker_position WHERE owner IS NOT NULL GROUP BY owner ORDER BY 1').map(
        ({ n }) => n,
      )
    await until(() => owned().join() === '2,3,3', 'partitions are shared out 3, 3 and 2')
    const db = new DatabaseSync(file)
    db.exec(`CREATE TABLE writes (at INTEGER);
      CREATE TRIGGER count_writes AFTER UPDATE ON broker_member BEGIN INSERT INTO writes VALUES (1); END`)
    db.close()
    await driver.close()
    await until(() => owned().join() === '4,4', 'partitions are shared out 4 and 4')
    // Each says every 100 ms that it is alive.
    expect(rows('SELECT count(*) AS n FROM writes')[0]?.['n']).toBeLessThan(30)
    await dying.close(0)
  })

  test('counts a message against an attempt only while nothing moved past it', async () => {
    const dying = async (acks: number): Promise<number> => {
      const driver = nodeSqlite(file)
      const broker = sqlite(driver, { lease: 200 })
      await broker.open({ service: 'dying' })
      const { promise, resolve } = Promise.withResolvers<number>()
      let left = acks
      await broker.consume({ group: 'group', topics: ['topic'], maxInFlight: 10 }, (delivery) => {
        if (left > 0) delivery.ack()
        else resolve(delivery.attempt)
        left -= 1
      })
      const attempt = await promise
      await until(
        () => rows('SELECT max(position) AS p FROM broker_position')[0]?.['p'] === passed + acks,
        'the position is written',
      )
      passed += acks
      await driver.close()
      await broker.close(0)
      return attempt
    }
    let passed = 0
    const broker = await open()
    await publishTo(broker, series('topic', 'a', 10))
    expect(await dying(0)).toBe(1)
    expect(await dying(0)).toBe(2)
    expect(await dying(0)).toBe(3)
    // The first is passed now; the second was out with it and says the same. From here on its own turns are counted.
    expect(await dying(1)).toBe(4)
    expect(await dying(0)).toBe(2)
  })
})

describe('positions', () => {
  test('are not moved by a member whose partition was taken over', async () => {
    const broker = await open()
    await broker.ensure({ topics: [], groups: [{ group: 'group', topics: ['topic'] }] })
    const driver = nodeSqlite(file)
    await driver.open({ service: 'positions' })
    const positions = new Positions(driver)
    const topics = [new SqliteLog(driver).topicId('topic')]
    const member = (id: string): MemberInfo => ({ id, group: 'group', topics, maxInFlight: 8 })
    const none = new Map<number, number>()
    const first = await positions.exchange(member('first'), none, 5)
    expect(first.held).toHaveLength(8)
    let second = await positions.exchange(member('second'), none, 10_000)
    await until(async () => {
      second = await positions.exchange(member('second'), tokensOf(second), 10_000)
      return second.held.length === 8
    }, 'the lease of the first has run out')

    const moved = (held: Exchange): PositionChange[] =>
      held.held.map(({ topic, partition, token }) => ({
        topic,
        partition,
        token,
        position: 7,
        giveUp: { delivered: 0 },
      }))
    const options = { leave: false, lockTimeout: 1000 }
    expect(await positions.commit(member('first'), moved(first), options)).toHaveLength(8)
    expect(rows('SELECT DISTINCT position, owner FROM broker_position')).toEqual([{ position: 0, owner: 'second' }])
    // Nor under the name of the new owner, with an old token.
    expect(await positions.commit(member('second'), moved(first), options)).toHaveLength(8)
    expect(await positions.commit(member('second'), moved(second), options)).toEqual([])
    expect(rows('SELECT DISTINCT position, owner FROM broker_position')).toEqual([{ position: 7, owner: null }])
    await driver.close()
  })
})

function tokensOf({ held }: Exchange): ReadonlyMap<number, number> {
  return new Map(held.map(({ topic, partition, token }) => [laneOf(topic, partition), token]))
}

describe('retention', () => {
  test('deletes what is old and what all groups of its topic have passed, in one process at a time', async () => {
    const broker = await open()
    const driver = nodeSqlite(file)
    await driver.open({ service: 'retention' })
    const expire = (retention: number): Promise<number | undefined> =>
      expireMessages(driver, retention, new AbortController().signal)
    const again = (): void => {
      const db = new DatabaseSync(file)
      db.exec('DELETE FROM broker_chore')
      db.close()
    }
    const groups = ['group', 'slow'].map((group) => ({ group, topics: ['topic'] }))
    await broker.ensure({ topics: ['nobody'], groups })
    await publishTo(broker, [...series('topic', 'a', 2500), ...series('nobody', 'a', 10)])
    const got = await consume(broker)
    await got.count(2500)
    await got.stop()
    // Another group has passed nothing.
    expect(await expire(-1)).toBe(0)
    expect(await expire(-1)).toBeUndefined()
    const db = new DatabaseSync(file)
    db.exec(`UPDATE broker_position SET position = 2000 WHERE group_name = 'slow'`)
    db.close()
    again()
    expect(await expire(3_600_000)).toBe(0)
    again()
    expect(await expire(-1)).toBe(2000)
    expect(rows('SELECT count(*) AS n, min(sequence) AS first FROM broker_message')).toEqual([{ n: 510, first: 2001 }])
    await driver.close()
    // New messages are delivered after the last of a topic has gone.
    await publishTo(broker, series('topic', 'a', 1, 2501))
    const later = await consume(broker)
    await later.count(1)
    expect(later.texts).toEqual(['a-2501'])
  })
})
