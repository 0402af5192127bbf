import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { sqlite, type SqliteBrokerOptions } from '../../src/brokers/sqlite/index.ts'
import { numbered, publishTo, series, textOf } from '../../src/conformance/broker-kit.ts'
import { isTandemError } from '../../src/core/errors.ts'
import { nodeSqlite, type NodeSqliteSource } from '../../src/drivers/node-sqlite.ts'
import type { Broker, Delivery } from '../../src/spi/broker.ts'
import type { News, Order } from './support/sqlite-broker-child.ts'

const LEASE = 1000
/** What a loaded machine may take on top of a lease, in milliseconds. */
const MARGIN = 4000
const KEYS = Array.from({ length: 20 }, (_, index) => `key${index}`)

let folder = ''
let file = ''
let ends: (() => unknown)[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tandem-broker-'))
  file = join(folder, 'broker.db')
  ends = []
})

afterEach(async () => {
  for (const end of ends.toReversed()) await end()
  rmSync(folder, { recursive: true, maxRetries: 3 })
})

/** What somebody was delivered, with a way to wait for more. */
class Deliveries {
  readonly list: { readonly key: string; readonly text: string; readonly attempt: number; readonly at: number }[] = []
  #wake: (() => void) | undefined

  add(key: string, text: string, attempt: number): void {
    this.list.push({ key, text, attempt, at: performance.now() })
    this.#wake?.()
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  count(deliveries: number): Promise<void> {
    return this.until(() => this.list.length >= deliveries)
  }

  ofKey(key: string): string[] {
    return this.list.filter((one) => one.key === key).map(({ text }) => text)
  }
}

class Child {
  readonly deliveries = new Deliveries()
  readonly process: ChildProcess
  #done: (() => void) | undefined

  constructor(process: ChildProcess) {
    this.process = process
    process.on('message', (news: News) => {
      if (news.is === 'delivery') this.deliveries.add(news.key, news.text, news.attempt)
      else this.#done?.()
    })
  }

  static async start(): Promise<Child> {
    const path = new URL('support/sqlite-broker-child.ts', import.meta.url)
    const execArgv = ['--conditions=tandem-source', '--disable-warning=ExperimentalWarning']
    const child = new Child(fork(path, [file, String(LEASE)], { execArgv }))
    ends.push(() => child.kill())
    await child.done()
    return child
  }

  async order(order: Order): Promise<void> {
    const done = this.done()
    this.process.send(order)
    await done
  }

  /** Resolves when the child has started, or has done what it was ordered. */
  done(): Promise<void> {
    return new Promise((resolve) => {
      this.#done = resolve
    })
  }

  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const exit = once(this.process, 'exit')
    this.process.kill('SIGKILL')
    await exit
  }
}

async function open(source: NodeSqliteSource = file, options: SqliteBrokerOptions = {}): Promise<Broker> {
  const broker = sqlite(nodeSqlite(source, { lockTimeout: 1000 }), { lease: LEASE, ...options })
  await broker.open({ service: 'test' })
  ends.push(() => broker.close(2000))
  return broker
}

async function consume(broker: Broker, ack: (delivery: Delivery) => boolean): Promise<Deliveries> {
  const deliveries = new Deliveries()
  await broker.consume({ group: 'group', topics: ['topic'], maxInFlight: 10_000 }, (delivery) => {
    deliveries.add(delivery.message.key ?? '', textOf(delivery.message), delivery.attempt)
    if (ack(delivery)) delivery.ack()
  })
  return deliveries
}

const always = (): boolean => true
const inChild = { do: 'consume', topic: 'topic', group: 'group' } as const
const perKey = (count: number, from = 1): ReturnType<typeof series> =>
  KEYS.flatMap((key) => series('topic', key, count, from))

test('what a killed process held comes to another one within the lease: nothing lost, in order, counted', async () => {
  const broker = await open()
  const dead = await Child.start()
  await dead.order({ ...inChild, ack: false })
  await publishTo(broker, perKey(10))
  await dead.deliveries.count(200)
  const acked = KEYS.flatMap((key) => numbered(key, 3))
  await dead.order({ do: 'ack', texts: acked })
  const heir = await consume(broker, always)
  await dead.kill()
  const killedAt = performance.now()
  await heir.count(1)
  await publishTo(broker, perKey(1, 11))
  await heir.until(() => KEYS.every((key) => heir.ofKey(key).includes(`${key}-11`)))

  for (const key of KEYS) {
    const got = heir.ofKey(key)
    // Acks that the dead process had not written yet are lost; the messages come again.
    expect(got.length).toBeGreaterThanOrEqual(8)
    expect(got).toEqual(numbered(key, 11).slice(-got.length))
    expect(heir.list.find((one) => one.text === `${key}-11`)?.attempt).toBe(1)
  }
  expect(heir.list.filter(({ attempt }) => attempt > 1).length).toBeGreaterThanOrEqual(KEYS.length * 7)
  const took = Math.max(...heir.list.map(({ at }) => at)) - killedAt
  expect(took).toBeLessThan(LEASE + MARGIN)
})

test('a process that was frozen for longer than its lease can move no position when it wakes up', async () => {
  const broker = await open()
  const frozen = await Child.start()
  await frozen.order({ ...inChild, ack: false })
  await publishTo(broker, perKey(2))
  await frozen.deliveries.count(40)
  frozen.process.kill('SIGSTOP')
  const second = await Child.start()
  await second.order({ ...inChild, ack: false })
  // It took all partitions at once; one message of each goes alone, as it may be the one that stopped the first process.
  await second.deliveries.count(1)

  frozen.process.kill('SIGCONT')
  await frozen.order({ do: 'ack', texts: KEYS.flatMap((key) => numbered(key, 2)) })
  // It is a member again and gets a share; what it then writes of positions must not count what it had before.
  await publishTo(broker, perKey(1, 3))
  await Promise.all([frozen.kill(), second.kill()])
  const heir = await consume(broker, always)
  await heir.until(() => KEYS.every((key) => heir.ofKey(key).includes(`${key}-3`)))
  for (const key of KEYS) expect(heir.ofKey(key)).toEqual(numbered(key, 3))
})

test('rings get through to another process, also after the bell file was deleted', async () => {
  // Nothing else would make it look in time.
  const broker = await open(file, { pollInterval: 600_000, lease: 600_000 })
  const publisher = await Child.start()
  const got = await consume(broker, always)
  const say = (n: number): Promise<void> =>
    publisher.order({ do: 'publish', topic: 'topic', key: 'a', count: 1, from: n })
  await say(1)
  await got.count(1)
  for (const n of [2, 3, 4]) {
    rmSync(`${file}-bell`, { force: true })
    await say(n)
    await got.count(n)
    expect(existsSync(`${file}-bell`)).toBe(true)
  }
  expect(got.ofKey('a')).toEqual(numbered('a', 4))
})

test('a file that is locked for longer than a lease stops nobody for good', async () => {
  const broker = await open()
  const got = await consume(broker, always)
  await publishTo(broker, series('topic', 'a', 5))
  await got.count(5)
  const locker = new DatabaseSync(file)
  locker.exec('BEGIN IMMEDIATE')
  const waiting = publishTo(broker, series('topic', 'a', 5, 6))
  await expect(waiting).rejects.toSatisfy((error) => isTandemError(error, 'BROKER_UNAVAILABLE'))
  await expect(publishTo(broker, series('topic', 'a', 5, 6))).rejects.toThrow(/locked|held/)
  locker.exec('COMMIT')
  locker.close()
  await publishTo(broker, series('topic', 'a', 5, 6))
  await got.count(10)
  expect(got.ofKey('a')).toEqual(numbered('a', 10))
})

test('a full disk refuses what is new, and what is there is still delivered', async () => {
  const db = new DatabaseSync(file)
  ends.push(() => db.close())
  const broker = await open(db)
  await broker.ensure({ topics: [], groups: [{ group: 'group', topics: ['topic'] }] })
  await publishTo(broker, series('topic', 'a', 5))
  const large = { ...series('topic', 'large', 1)[0]!, body: new Uint8Array(1_000_000) }
  const pages = db.prepare('PRAGMA page_count').get()?.['page_count'] as number
  db.exec(`PRAGMA max_page_count = ${pages + 4}`)
  const refused = await publishTo(broker, [large]).catch((error: unknown) => error)
  expect(refused).toMatchObject({ code: 'BROKER_UNAVAILABLE', cause: { code: 'STORE_FULL' } })
  const got = await consume(broker, always)
  await got.count(5)
  db.exec('PRAGMA max_page_count = 1000000')
  expect(await publishTo(broker, [large])).toEqual([{ status: 'confirmed' }])
  await got.count(6)
})

test('a file that was deleted and made anew is used again, by those who publish and those who consume', async () => {
  const publisher = await open()
  const got = await consume(await open(), always)
  await publishTo(publisher, series('topic', 'a', 3))
  await got.count(3)
  for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true })
  await expect(publishTo(publisher, series('topic', 'a', 3, 4))).rejects.toSatisfy((error) =>
    isTandemError(error, 'BROKER_UNAVAILABLE'),
  )
  new DatabaseSync(file).close()
  await publishTo(publisher, series('topic', 'a', 1, 4)).catch(() => undefined)
  await publishTo(publisher, series('topic', 'a', 1, 5))
  await got.until(() => got.ofKey('a').includes('a-5'))
})
