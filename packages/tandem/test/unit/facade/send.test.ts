// Everything that send, prepare and transact refuse: with the right code, and nothing written although the transaction commits.
import { DatabaseSync } from 'node:sqlite'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createTandem, message, TandemError, type Codec, type Draft, type ErrorCode } from '../../../src/index.ts'
import { memory as memoryBroker } from '../../../src/brokers/memory/index.ts'
import { nodeSqlite } from '../../../src/drivers/node-sqlite.ts'
import { sqlite } from '../../../src/stores/sqlite/index.ts'
import { refusal } from '../../support/errors.ts'
import { effect, effects, service, written, type Service } from '../../support/facade.ts'
import { rows, type Tx } from '../../support/store.ts'

const Placed = message('orders.placed', {
  schema: z.object({ orderId: z.string(), quantity: z.number().optional() }),
  key: (order) => order.orderId,
})
const Anything = message<unknown>('anything')
const good = Placed({ orderId: 'o1' })

const open: Service[] = []
async function opened(options: Parameters<typeof service>[0] = {}): Promise<Service> {
  const kit = await service(options)
  await kit.tandem.open()
  open.push(kit)
  return kit
}
afterEach(async () => {
  await Promise.all(open.splice(0).map(({ tandem }) => tandem.stop()))
})

const cyclic: { self?: unknown } = {}
cyclic.self = cyclic
const deep = (depth: number): unknown => (depth === 0 ? 1 : [deep(depth - 1)])
const brokenCodec: Codec = {
  contentType: 'x/y',
  encode: () => {
    throw new TandemError('PAYLOAD_UNSERIALIZABLE', 'this codec takes nothing at all')
  },
  decode: () => undefined,
}

describe('a message that is refused', () => {
  const cases: [string, ErrorCode, () => Draft, RegExp][] = [
    [
      'a payload that breaks its schema',
      'PAYLOAD_INVALID',
      () => Placed({ orderId: 5 } as never),
      /orders\.placed: \$\.orderId/,
    ],
    ['a BigInt', 'PAYLOAD_UNSERIALIZABLE', () => Anything({ n: 1n }), /\$\.n is a BigInt; use a string/],
    ['a cycle', 'PAYLOAD_UNSERIALIZABLE', () => Anything(cyclic), /\$\.self is a reference/],
    ['a Date', 'PAYLOAD_UNSERIALIZABLE', () => Anything({ at: new Date() }), /toISOString/],
    ['undefined', 'PAYLOAD_UNSERIALIZABLE', () => Anything(undefined), /use null/],
    ['too deep', 'PAYLOAD_UNSERIALIZABLE', () => Anything(deep(65)), /nested too deeply/],
    [
      'a codec that gives up',
      'PAYLOAD_UNSERIALIZABLE',
      () => message('a', { codec: brokenCodec })({}),
      /nothing at all/,
    ],
    [
      'too large',
      'MESSAGE_TOO_LARGE',
      () => Anything('x'.repeat(1_048_575)),
      /1048577 bytes; at most 1048576.*reference/,
    ],
    ['a header with a newline', 'HEADER_INVALID', () => Placed({ orderId: 'o' }, { headers: { a: 'b\nc' } }), /base64/],
    [
      'a header that is reserved',
      'HEADER_INVALID',
      () => Placed({ orderId: 'o' }, { headers: { 'ce-id': 'x' } }),
      /ce-/,
    ],
    ['headers that are an array', 'HEADER_INVALID', () => Placed({ orderId: 'o' }, { headers: [] as never }), /object/],
    ['a key that is too long', 'NAME_INVALID', () => Placed({ orderId: 'o'.repeat(256) }), /1 to 255 bytes/],
    ['a key with a newline', 'NAME_INVALID', () => Placed({ orderId: 'o' }, { key: 'a\nb' }), /"a\\nb"/],
    ['a key that is empty', 'NAME_INVALID', () => Placed({ orderId: '' }), /1 to 255 bytes/],
    [
      'a key that is no string',
      'NAME_INVALID',
      () => message<{ k: number }>('a', { key: (it) => it.k as never })({ k: 5 }),
      /number/,
    ],
    [
      'a time that is none',
      'CONFIG_INVALID',
      () => Placed({ orderId: 'o' }, { deliverAt: new Date(Number.NaN) }),
      /valid Date/,
    ],
    [
      'a time that is a number',
      'CONFIG_INVALID',
      () => Placed({ orderId: 'o' }, { deliverAt: 5 as never }),
      /valid Date/,
    ],
    ['a payload without its message type', 'CONFIG_INVALID', () => ({ orderId: 'o' }) as never, /OrderPlaced\(order\)/],
    ['the message type itself', 'CONFIG_INVALID', () => Placed as never, /OrderPlaced\(order\)/],
    ['nothing', 'CONFIG_INVALID', () => undefined as never, /OrderPlaced\(order\)/],
    ['null', 'CONFIG_INVALID', () => null as never, /OrderPlaced\(order\)/],
  ]

  test.each(cases)('%s, by send', async (_name, code, draft, text) => {
    const { tandem, db } = await opened()
    await tandem.transaction(async (tx) => {
      effect(tx, 1)
      expect((await refusal(code, () => tandem.send(tx, draft()))).message).toMatch(text)
      // One of several: none of them is written.
      await refusal(code, () => tandem.send(tx, [good, draft(), good]))
      // The transaction is none the worse for it.
      effect(tx, 2)
    })
    expect(effects(db).map(({ n }) => n)).toEqual([1, 2])
    expect(written(db)).toEqual({})
  })

  test.each(cases)('%s, by prepare and transact', async (_name, code, draft, text) => {
    const { tandem, db } = await opened()
    tandem.check(Placed, () => 'unknown')
    tandem.check(Anything, () => 'unknown')
    tandem.check(message('a'), () => 'unknown')
    expect((await refusal(code, () => tandem.prepare(draft()))).message).toMatch(text)
    const work = (tx: Tx): void => effect(tx, 1)
    expect((await refusal(code, () => tandem.transact(draft(), work))).message).toMatch(text)
    expect(effects(db), 'the local transaction did not even begin').toEqual([])
    expect(written(db)).toEqual({})
  })

  test('because of a limit of this service', async () => {
    const { tandem, db } = await opened({ limits: { payloadBytes: 5, headerBytes: 3, headerCount: 1 } })
    await tandem.transaction(async (tx) => {
      await refusal('MESSAGE_TOO_LARGE', () => tandem.send(tx, Anything('1234')))
      await refusal('HEADER_INVALID', () => tandem.send(tx, Anything('123', { headers: { a: 'bcd' } })))
      await tandem.send(tx, Anything('123', { headers: { a: 'bc' } }))
    })
    expect(written(db)).toEqual({ outbox: 1 })
  })
})

describe('a half message that is refused', () => {
  test('prepare without a check: nobody could ever answer for it', async () => {
    const { tandem, db } = await opened()
    const { message: text } = await refusal('CONFIG_INVALID', () => tandem.prepare(good))
    expect(text).toMatch(/no check for orders\.placed.*tandem\.check\(\)/)
    expect(written(db)).toEqual({})
  })

  test('two at once', async () => {
    const { tandem, db } = await opened()
    tandem.check(Placed, () => 'unknown')
    await refusal('CONFIG_INVALID', () => tandem.prepare([good, good] as never))
    await refusal('CONFIG_INVALID', () => tandem.prepare([good] as never))
    await refusal('CONFIG_INVALID', () => tandem.transact([good] as never, () => undefined))
    await refusal('CONFIG_INVALID', () => tandem.transact([] as never, () => undefined))
    expect(written(db)).toEqual({})
  })

  test('transact without work', async () => {
    const { tandem, db } = await opened()
    await refusal('CONFIG_INVALID', () => tandem.transact(good, undefined as never))
    expect(written(db)).toEqual({})
  })

  test('decided one way and then the other', async () => {
    const { tandem, db } = await opened()
    tandem.check(Placed, () => 'unknown')
    const half = await tandem.prepare(good)
    await half.rollback()
    await half.rollback()
    expect((await refusal('HALF_DECIDED', () => half.commit())).message).toMatch(
      /cannot be committed: it was rolled back/,
    )
    const other = await tandem.prepare(good)
    await other.commit()
    await other.commit()
    expect((await refusal('HALF_DECIDED', () => other.rollback())).message).toMatch(
      /cannot be rolled back: it was committed/,
    )
    expect(written(db)).toEqual({ half: 2, outbox: 1 })
  })

  test('decided when nobody remembers it any more', async () => {
    const { tandem, db } = await opened()
    tandem.check(Placed, () => 'unknown')
    const half = await tandem.prepare(good)
    db.exec('DELETE FROM tandem_half')
    await refusal('NOT_FOUND', () => half.commit())
  })
})

describe('something that is no open transaction of this store', () => {
  test.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['a string', 'tx'],
    ['an object', {}],
    ['what looks like one', { prepare: () => undefined, exec: () => undefined, isTransaction: true }],
  ])('%s', async (_name, tx) => {
    const { tandem, db } = await opened()
    const { message: text } = await refusal('TRANSACTION_INVALID', () => tandem.send(tx as Tx, good))
    expect(text).toMatch(/not a transaction of this store \(sqlite on node-sqlite\); pass the one/)
    expect(written(db)).toEqual({})
  })

  test('a transaction that has been committed, or rolled back', async () => {
    const { tandem, db } = await opened()
    let committed: Tx | undefined
    let rolledBack: Tx | undefined
    await tandem.transaction((tx) => {
      committed = tx
    })
    const rollBack = tandem.transaction((tx) => {
      rolledBack = tx
      throw new Error('no')
    })
    await expect(rollBack).rejects.toThrow('no')
    for (const tx of [committed, rolledBack]) {
      const { message: text } = await refusal('TRANSACTION_ENDED', () => tandem.send(tx as Tx, good))
      expect(text).toMatch(/call this inside it/)
    }
    expect(written(db)).toEqual({})
  })

  test('a transaction of another database in memory', async () => {
    const [one, other] = [await opened(), await opened()]
    await other.tandem.transaction(async (tx) => {
      await refusal('TRANSACTION_INVALID', () => one.tandem.send(tx, good))
    })
    expect([written(one.db), written(other.db)]).toEqual([{}, {}])
  })

  test('a connection of the user’s without a transaction, and with one on another file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tandem-send-'))
    const [own, foreign] = ['own', 'foreign'].map((name) => new DatabaseSync(join(folder, `${name}.db`)))
    const store = sqlite(nodeSqlite(join(folder, 'own.db')), { migrate: true })
    const tandem = createTandem({ service: 'order', store, broker: memoryBroker(), log: false })
    try {
      await tandem.open()
      await refusal('TRANSACTION_ENDED', () => tandem.send(own as unknown as Tx, good))
      foreign!.exec('BEGIN')
      await refusal('TRANSACTION_INVALID', () => tandem.send(foreign as unknown as Tx, good))
      expect(written(own!)).toEqual({})
      // And the right one is taken as it is.
      own!.exec('BEGIN IMMEDIATE')
      await tandem.send(own as unknown as Tx, good)
      own!.exec('ROLLBACK')
      expect(written(own!)).toEqual({})
      own!.exec('BEGIN IMMEDIATE')
      await tandem.send(own as unknown as Tx, good)
      own!.exec('COMMIT')
      expect(written(own!)).toEqual({ outbox: 1 })
    } finally {
      await tandem.stop()
      own!.close()
      foreign!.close()
      rmSync(folder, { recursive: true })
    }
  })

  test('a transaction of another library', async () => {
    const { tandem, db } = await opened()
    const other = new Database(':memory:')
    other.exec('BEGIN')
    await refusal('TRANSACTION_INVALID', () => tandem.send(other as unknown as Tx, good))
    other.close()
    expect(written(db)).toEqual({})
  })
})

describe('what is accepted', () => {
  test('nothing to send writes nothing', async () => {
    const { tandem, db } = await opened()
    await tandem.transaction((tx) => tandem.send(tx, []))
    expect(written(db)).toEqual({})
  })

  test('is in the outbox if, and only if, the transaction commits', async () => {
    const { tandem, db } = await opened()
    const failed = tandem.transaction(async (tx) => {
      await tandem.send(tx, [good, good])
      throw new Error('no')
    })
    await expect(failed).rejects.toThrow('no')
    expect(written(db)).toEqual({})
    await tandem.transaction((tx) => tandem.send(tx, [good, good]))
    expect(written(db)).toEqual({ outbox: 2 })
  })

  test('in the order of the list, as it was given: the input of the schema and not its output', async () => {
    const { tandem, db } = await opened()
    const Transformed = message('transformed', { schema: z.object({ n: z.string().transform(Number) }) })
    await tandem.transaction((tx) =>
      tandem.send(
        tx,
        ['1', '2', '3'].map((n) => Transformed({ n })),
      ),
    )
    const bodies = rows<{ body: Uint8Array }>(db, 'SELECT body FROM tandem_outbox ORDER BY position')
    expect(bodies.map(({ body }) => new TextDecoder().decode(body))).toEqual(['{"n":"1"}', '{"n":"2"}', '{"n":"3"}'])
  })
})
