import { afterEach, describe, expect, test } from 'vitest'
import { memory as memoryBroker } from '../../../src/brokers/memory/index.ts'
import { nodeSqlite } from '../../../src/drivers/node-sqlite.ts'
import { createTandem, message, TandemError } from '../../../src/index.ts'
import { sqlite } from '../../../src/stores/sqlite/index.ts'
import { failAt } from '../../../src/testing/index.ts'
import { refusal, thrown } from '../../support/errors.ts'
import { effect, effects, service, written } from '../../support/facade.ts'
import { turns } from '../../support/clock.ts'
import type { TestStore, Tx } from '../../support/store.ts'

const Placed = message<{ n: number }>('placed')
const good = Placed({ n: 1 })
const handler = (): void => undefined

async function expectClosed(store: TestStore): Promise<void> {
  await refusal('STORE_UNAVAILABLE', () => store.transaction(() => Promise.resolve()))
}

describe('before open() and start()', () => {
  test('send is refused: opening may have to migrate, which cannot be done inside a transaction', async () => {
    const { tandem, db, store } = await service()
    await store.transaction(async (tx) => {
      const { message: text } = await refusal('LIFECYCLE', () => tandem.send(tx, good))
      expect(text).toBe('send() was called before open() or start(); await one of them first')
    })
    expect(written(db)).toEqual({})
    await tandem.stop()
  })

  test('transaction, prepare and transact open by themselves', async () => {
    const { tandem, db } = await service()
    tandem.check(Placed, () => 'unknown')
    await tandem.transaction((tx) => tandem.send(tx, good))
    await tandem.prepare(good)
    await tandem.transact(good, (tx) => effect(tx, 1))
    expect(written(db)).toEqual({ outbox: 2, half: 2, barrier: 1 })
    await tandem.stop()
  })

  test('open is enough to send, and may be called again', async () => {
    const { tandem, db } = await service()
    await Promise.all([tandem.open(), tandem.open()])
    await tandem.open()
    await tandem.transaction((tx) => tandem.send(tx, good))
    await turns()
    expect(written(db), 'nobody publishes').toEqual({ outbox: 1 })
    await tandem.stop()
  })
})

describe('after start()', () => {
  test('consume and check are refused: a message could have found its handler missing', async () => {
    const { tandem } = await service()
    await tandem.start()
    expect(thrown('LIFECYCLE', () => tandem.consume(Placed, handler)).message).toMatch(/register everything first/)
    thrown('LIFECYCLE', () => tandem.check(Placed, () => 'commit'))
    await tandem.stop()
  })

  test('also while it starts', async () => {
    const { tandem } = await service()
    const starting = tandem.start()
    thrown('LIFECYCLE', () => tandem.consume(Placed, handler))
    await starting
    await tandem.stop()
  })

  test('a second start is refused, and does the first one no harm', async () => {
    const kit = await service()
    kit.tandem.consume(Placed, handler)
    const starting = kit.tandem.start()
    await refusal('LIFECYCLE', () => kit.tandem.start())
    await starting
    await refusal('LIFECYCLE', () => kit.tandem.start())
    await kit.send(good)
    await kit.reached('message.handled')
    await kit.tandem.stop()
  })
})

describe('stop()', () => {
  test('twice, and at the same time, is one', async () => {
    const { tandem } = await service()
    await tandem.start()
    await Promise.all([tandem.stop(), tandem.stop()])
    await tandem.stop({ deadline: 1 })
  })

  test('before start, and before open, is fine; then everything is refused', async () => {
    const { tandem, db, store } = await service()
    await tandem.stop()
    await refusal('LIFECYCLE', () => tandem.start())
    await refusal('LIFECYCLE', () => tandem.open())
    await refusal('LIFECYCLE', () => tandem.transaction(() => undefined))
    await refusal('LIFECYCLE', () => tandem.transact(good, () => undefined))
    await refusal('LIFECYCLE', () => tandem.prepare(good))
    expect((await refusal('LIFECYCLE', () => tandem.send({} as Tx, good))).message).toContain('after stop()')
    thrown('LIFECYCLE', () => tandem.consume(Placed, handler))
    thrown('LIFECYCLE', () => tandem.check(Placed, () => 'commit'))
    expect(written(db)).toEqual({})
    await expectClosed(store)
  })

  test('while it starts waits for that', async () => {
    const { tandem } = await service()
    tandem.consume(Placed, handler)
    const starting = tandem.start()
    await tandem.stop()
    await starting
  })

  test.each([{ deadline: -1 }, { deadline: Number.NaN }, { deadline: 2 ** 31 }, { deadline: '5' }, null])(
    'with %j is refused, and does not stop',
    async (options) => {
      const kit = await service()
      kit.tandem.consume(Placed, handler)
      await kit.tandem.start()
      await refusal('CONFIG_INVALID', () => kit.tandem.stop(options as { deadline: number }))
      await refusal('OPTION_UNKNOWN', () => kit.tandem.stop({ deadLine: 1 } as object))
      await kit.send(good)
      await kit.reached('message.handled')
      await kit.tandem.stop()
    },
  )

  test('waits for the handler that runs, and takes nothing new', async () => {
    const kit = await service()
    const gate = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    kit.tandem.consume(Placed, async ({ n }, { tx }) => {
      begun.resolve()
      await gate.promise
      effect(tx, n)
    })
    await kit.tandem.start()
    await kit.send([1, 2, 3].map((n) => Placed({ n })))
    await begun.promise
    let stopped = false
    const stopping = kit.tandem.stop().then(() => (stopped = true))
    await turns()
    expect(stopped).toBe(false)
    gate.resolve()
    await stopping
    expect(effects(kit.db)).toHaveLength(1)
    expect(written(kit.db)).toMatchObject({ inbox: 1 })
  })

  test('tells handlers to abort when the deadline is over; what they did is undone and not held against them', async () => {
    const kit = await service()
    const begun = Promise.withResolvers<AbortSignal>()
    kit.tandem.consume(Placed, async ({ n }, { tx, signal }) => {
      effect(tx, n)
      begun.resolve(signal)
      await new Promise(() => undefined)
    })
    await kit.tandem.start()
    await kit.send(good)
    const signal = await begun.promise
    await kit.tandem.stop({ deadline: 1 })
    expect(signal.reason).toMatchObject({ code: 'LIFECYCLE' })
    expect(effects(kit.db)).toEqual([])
    expect(written(kit.db)).toEqual({})
    expect(kit.of('message.failed')).toEqual([])
  })

  test('cuts retries off as well', async () => {
    const kit = await service()
    const begun = Promise.withResolvers<void>()
    kit.tandem.consume(
      Placed,
      async (_payload, { attempt }) => {
        if (attempt === 1) throw new Error('the first time')
        begun.resolve()
        await new Promise(() => undefined)
      },
      { retry: { delays: [0] } },
    )
    await kit.tandem.start()
    await kit.send(good)
    await begun.promise
    await kit.tandem.stop({ deadline: 1 })
    expect(written(kit.db)).toMatchObject({ inbox_failure: 1 })
  })

  test('ends everything even if something fails on the way, and says what', async () => {
    const kit = await service()
    kit.tandem.consume(Placed, handler)
    kit.broker.close = () => Promise.reject(new Error('the broker hangs up'))
    await kit.tandem.start()
    await expect(kit.tandem.stop()).rejects.toThrow('the broker hangs up')
    await expectClosed(kit.store)
    await turns()
    expect(kit.of('loop.failed')).toEqual([])
  })

  test('await using stops', async () => {
    const kit = await service()
    {
      await using tandem = kit.tandem
      await tandem.start()
    }
    await refusal('LIFECYCLE', () => kit.tandem.open())
  })
})

describe('a start that fails', () => {
  test('because the tables are missing says what to do, and everything is undone', async () => {
    const broker = memoryBroker()
    const store = sqlite(nodeSqlite(':memory:'))
    const tandem = createTandem({ service: 'order', store, broker, log: false })
    tandem.consume(Placed, handler)
    expect((await refusal('SCHEMA_OUTDATED', () => tandem.start())).message).toContain('tandem migrate')
    expect((await broker.health()).ok).toBe(false)
    await refusal('LIFECYCLE', () => tandem.start())
    await tandem.stop()
  })

  test('because of the broker leaves no loop behind', async () => {
    const kit = await service()
    kit.tandem.consume(Placed, handler)
    kit.broker.ensure = () => Promise.reject(new Error('no topics today'))
    await expect(kit.tandem.start()).rejects.toThrow('no topics today')
    await turns()
    expect(written(kit.db)).toEqual({})
    await expectClosed(kit.store)
  })

  test('half way stops the consumers that have begun', async () => {
    const kit = await service()
    kit.tandem.consume(Placed, handler)
    kit.tandem.consume(Placed, handler, { group: 'second' })
    const consume = kit.broker.consume.bind(kit.broker)
    kit.broker.consume = (subscription, deliver) =>
      subscription.group === 'second' ? Promise.reject(new Error('not this one')) : consume(subscription, deliver)
    await expect(kit.tandem.start()).rejects.toThrow('not this one')
    expect((await kit.broker.health()).ok).toBe(false)
  })

  test('opening may be tried again', async () => {
    const kit = await service()
    const open = kit.broker.open.bind(kit.broker)
    kit.broker.open = () => Promise.reject(new Error('not yet'))
    await expect(kit.tandem.open()).rejects.toThrow('not yet')
    kit.broker.open = open
    await kit.tandem.start()
    await kit.tandem.stop()
  })
})

const disarm: (() => void)[] = []
afterEach(() => disarm.splice(0).forEach((one) => one()))

describe('transact', () => {
  test('returns what the local transaction returns, and commits both', async () => {
    const { tandem, db } = await service()
    const result = await tandem.transact(good, (tx) => {
      effect(tx, 1)
      return 'result'
    })
    expect(result).toBe('result')
    expect(written(db)).toEqual({ half: 1, barrier: 1, outbox: 1 })
    await tandem.stop()
  })

  test('passes on what the local transaction throws, and ends the half message', async () => {
    const { tandem, db } = await service()
    const failed = tandem.transact(good, (tx) => {
      effect(tx, 1)
      throw new Error('out of stock')
    })
    await expect(failed).rejects.toThrow('out of stock')
    expect(effects(db)).toEqual([])
    expect(db.prepare('SELECT state FROM tandem_half').all()).toMatchObject([{ state: 'rolled-back' }])
    await tandem.stop()
  })

  test('whose process dies after the local commit has committed all the same: the check ends it', async () => {
    const kit = await service({ check: { transactionTimeOut: 1 } })
    disarm.push(failAt('half.local-committed'))
    await expect(kit.tandem.transact(good, (tx) => effect(tx, 1))).rejects.toThrow('simulated crash')
    expect(effects(kit.db)).toHaveLength(1)
    await kit.tandem.start()
    await kit.reached('message.published')
    await kit.tandem.stop()
  })

  test.each([true, false])(
    'whose commit has lost its answer ends the way the commit has: committed %s',
    async (committed) => {
      const { tandem, db, store } = await service()
      await tandem.open()
      const transaction = store.transaction.bind(store)
      const lost = new TandemError('STORE_UNAVAILABLE', 'whether the transaction has been committed is not known')
      store.transaction = async (work) => {
        await transaction(async (tx) => {
          await work(tx)
          if (!committed) throw lost
        })
        throw lost
      }
      const acted = tandem.transact(good, (tx) => {
        effect(tx, 1)
        return 'result'
      })
      if (committed) expect(await acted).toBe('result')
      else await expect(acted).rejects.toBe(lost)
      expect(effects(db)).toHaveLength(committed ? 1 : 0)
      expect(written(db)).toEqual({ half: 1, barrier: 1, ...(committed && { outbox: 1 }) })
      expect(db.prepare('SELECT state FROM tandem_half').get()).toEqual({
        state: committed ? 'committed' : 'rolled-back',
      })
      store.transaction = transaction
      await tandem.stop()
    },
  )

  test('that comes after its check has given it up fails, and nothing of it stays', async () => {
    const { tandem, db, store } = await service()
    await tandem.open()
    const insertBarrier = store.half.insertBarrier.bind(store.half)
    store.half.insertBarrier = async (tx, id) => {
      // The check came first: it took so long to begin.
      db.prepare("INSERT INTO tandem_barrier (id, decision, at) VALUES (?, 'rollback', 0)").run(id)
      return insertBarrier(tx, id)
    }
    const { message: text } = await refusal('BARRIER_CLOSED', () => tandem.transact(good, (tx) => effect(tx, 1)))
    expect(text).toContain('too late')
    expect(effects(db)).toEqual([])
    expect(written(db)).not.toHaveProperty('outbox')
    await tandem.stop()
  })
})
