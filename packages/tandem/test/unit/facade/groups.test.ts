// Consumer groups: several messages in one transaction, order, and groups beside each other.
import { describe, expect, test } from 'vitest'
import { message, TandemError, type ConsumeOptions } from '../../../src/index.ts'
import { until } from '../../support/clock.ts'
import { effect, effects, inboxStates, running, service, type Service } from '../../support/facade.ts'
import type { Tx } from '../../support/store.ts'

const Placed = message<{ n: number }>('placed')
const Cancelled = message<{ n: number }>('cancelled', { topic: 'placed' })
const placed = (n: number, key?: string) => Placed({ n }, key === undefined ? {} : { key })

const numbers = ({ db }: Service): number[] => effects(db).map(({ n }) => n)
describe('transactionSize', () => {
  test('several messages that wait are handled in one transaction', async () => {
    const transactions = new Map<Tx, number[]>()
    await using kit = await running((tandem) =>
      tandem.consume(
        Placed,
        ({ n }, { tx }) => {
          transactions.set(tx, [...(transactions.get(tx) ?? []), n])
          effect(tx, n)
        },
        { transactionSize: 10 },
      ),
    )
    await kit.send(Array.from({ length: 40 }, (_, n) => placed(n, 'k')))
    await kit.reached('message.handled', 40)
    expect(numbers(kit)).toEqual(Array.from({ length: 40 }, (_, n) => n))
    const sizes = [...transactions.values()].map((list) => list.length)
    expect(Math.max(...sizes)).toBe(10)
    expect(sizes.length).toBeLessThan(12)
  })

  test('one that fails in the middle is retried alone; the others are handled once', async () => {
    const runs = new Map<number, number>()
    await using kit = await running((tandem) =>
      tandem.consume(
        Placed,
        ({ n }, { tx }) => {
          runs.set(n, (runs.get(n) ?? 0) + 1)
          effect(tx, n)
          if (n === 5) throw new Error('this one')
        },
        { transactionSize: 20, retry: { maxAttempts: 2, delays: [0] } },
      ),
    )
    await kit.send(Array.from({ length: 10 }, (_, n) => placed(n, 'k')))
    await kit.reached('message.dead')
    await kit.reached('message.handled', 9)
    expect(numbers(kit)).toEqual([0, 1, 2, 3, 4, 6, 7, 8, 9])
    expect(kit.of('message.handled')).toHaveLength(9)
    // Together, then alone: handlers are written so that this does no harm.
    expect(Math.max(...runs.values())).toBeLessThanOrEqual(3)
    expect(kit.of('message.dead')).toHaveLength(1)
  })

  test('copies among them are handled once', async () => {
    await using kit = await running((tandem) =>
      tandem.consume(Placed, ({ n }, { tx }) => effect(tx, n), { transactionSize: 10 }),
    )
    await kit.send(placed(1, 'k'))
    const { id } = await kit.reached('message.handled')
    const copy = await kit.copyOf(id)
    await kit.publish(...Array.from({ length: 5 }, () => copy))
    await kit.reached('message.duplicate', 5)
    expect(numbers(kit)).toEqual([1])
  })
})

describe('an ordered group', () => {
  /** Handles in order; `fails` says how often a message fails before. */
  const ordered = (fails: Map<number, number>, options: ConsumeOptions = {}): Promise<Service & AsyncDisposable> =>
    running((tandem) =>
      tandem.consume(
        Placed,
        ({ n }, { tx }) => {
          const left = fails.get(n) ?? 0
          fails.set(n, left - 1)
          if (left > 0) throw new Error('not yet')
          effect(tx, n)
        },
        { ordered: true, retry: { maxAttempts: 3, delays: [0] }, ...options },
      ),
    )

  test.each([
    ['one by one', {}],
    ['several in a transaction', { transactionSize: 4 }],
    ['several at the same time', { concurrency: 4, transactionSize: 2 }],
  ])('whose head fails keeps its key back, and no other: %s', async (_name, options) => {
    const fails = new Map([[1, 2]])
    await using kit = await ordered(fails, options)
    await kit.send([placed(1, 'a'), placed(2, 'a'), placed(10, 'b'), placed(3, 'a'), placed(11, 'b'), placed(4, 'a')])
    await kit.reached('message.handled', 6)
    expect(numbers(kit).filter((n) => n < 10)).toEqual([1, 2, 3, 4])
    expect(numbers(kit).filter((n) => n >= 10)).toEqual([10, 11])
    expect(kit.of('message.dead')).toEqual([])
  })

  test('whose head is dead waits for a person: a replay lets the key go on in its order', async () => {
    const fails = new Map([[1, 3]])
    await using kit = await ordered(fails)
    await kit.send([placed(1, 'a'), placed(2, 'a'), placed(3, 'a'), placed(10, 'b')])
    const { id } = await kit.reached('message.dead')
    await kit.reached('message.handled')
    await until(() => inboxStates(kit.db).filter((state) => state === 'blocked').length === 2)
    expect(numbers(kit)).toEqual([10])
    await kit.store.admin.replayDeadLetter({ group: 'order', id }, { by: 'kim' })
    await kit.reached('message.handled', 4)
    expect(numbers(kit)).toEqual([10, 1, 2, 3])
  })

  test('whose head is discarded goes on without it', async () => {
    await using kit = await ordered(new Map([[1, 99]]))
    await kit.send([placed(1, 'a'), placed(2, 'a')])
    const { id } = await kit.reached('message.dead')
    await until(() => inboxStates(kit.db).includes('blocked'))
    await kit.store.admin.discardDeadLetter({ group: 'order', id }, { by: 'kim', reason: 'test' })
    await kit.reached('message.handled')
    expect(numbers(kit)).toEqual([2])
    expect(inboxStates(kit.db)).toEqual(['discarded', 'handled'])
  })

  test('says of each that waits that it is blocked, and of none that it is a copy', async () => {
    await using kit = await ordered(new Map([[1, 99]]), { transaction: false, retry: { maxAttempts: 1 } })
    await kit.send([placed(1, 'a'), placed(2, 'a'), placed(3, 'a')])
    await kit.reached('message.blocked', 2)
    expect(kit.of('message.blocked')).toMatchObject([{ key: 'a' }, { key: 'a' }])
    expect(kit.of('message.duplicate')).toEqual([])
  })

  test('does not order messages without a key', async () => {
    await using kit = await ordered(new Map([[1, 99]]), { retry: { delays: [100_000] } })
    await kit.send([placed(1), placed(2), placed(3)])
    await kit.reached('message.handled', 2)
    expect(new Set(numbers(kit))).toEqual(new Set([2, 3]))
  })

  test('keeps one order for the types of a topic', async () => {
    const seen: string[] = []
    let fails = true
    await using kit = await running((tandem) => {
      tandem.consume(
        Placed,
        () => {
          if (fails) {
            fails = false
            throw new Error('not yet')
          }
          seen.push('placed')
        },
        { ordered: true, retry: { delays: [0] } },
      )
      tandem.consume(Cancelled, () => void seen.push('cancelled'))
    })
    await kit.send([placed(1, 'a'), Cancelled({ n: 1 }, { key: 'a' })])
    await kit.reached('message.handled', 2)
    expect(seen).toEqual(['placed', 'cancelled'])
  })
})

describe('a message that was delivered twice without an end', () => {
  /** Every delivery says that it is the one that `which` gives. */
  const delivered = async (which: () => number, register: (kit: Service) => void): Promise<Service> => {
    const kit = await service()
    const consume = kit.broker.consume.bind(kit.broker)
    kit.broker.consume = (subscription, deliver) =>
      consume(subscription, (delivery) => deliver({ ...delivery, attempt: which() }))
    register(kit)
    await kit.tandem.start()
    return kit
  }

  test('is counted before it is tried again, so that it cannot kill processes for ever', async () => {
    const attempts: number[] = []
    const kit = await delivered(
      () => 3,
      ({ tandem }) => {
        tandem.consume(Placed, ({ n }, { tx, attempt }) => {
          attempts.push(attempt)
          effect(tx, n)
        })
      },
    )
    await kit.send(placed(1))
    expect(await kit.reached('message.failed')).toMatchObject({
      attempt: 1,
      error: expect.stringMatching(/delivered 2 times to processes that died/) as string,
    })
    await kit.reached('message.handled')
    expect([attempts, numbers(kit)]).toEqual([[2], [1]])
    await kit.tandem.stop()
  })

  test('is a copy if it had been handled after all', async () => {
    let attempt = 2
    const kit = await delivered(
      () => attempt,
      ({ tandem }) => tandem.consume(Placed, ({ n }, { tx }) => effect(tx, n)),
    )
    await kit.send(placed(1))
    const { id } = await kit.reached('message.handled')
    attempt = 3
    await kit.publish(await kit.copyOf(id))
    await kit.reached('message.duplicate')
    expect(kit.of('message.failed'), 'a second delivery is tried at once').toEqual([])
    expect(numbers(kit)).toEqual([1])
    await kit.tandem.stop()
  })
})

describe('groups', () => {
  test('each sees each message once, and one that fails does not concern the other', async () => {
    const seen: string[] = []
    await using kit = await running((tandem) => {
      tandem.consume(Placed, ({ n }) => void seen.push(`order ${n}`))
      tandem.consume(
        Placed,
        () => {
          throw new Error('no')
        },
        { group: 'audit', retry: { maxAttempts: 1 } },
      )
    })
    await kit.send([placed(1), placed(2)])
    await kit.reached('message.dead', 2)
    await kit.reached('message.handled', 2)
    expect(seen.toSorted()).toEqual(['order 1', 'order 2'])
    expect(inboxStates(kit.db)).toEqual(['dead', 'dead', 'handled', 'handled'])
  })

  test('a list of types shares a handler', async () => {
    const seen: string[] = []
    await using kit = await running((tandem) =>
      tandem.consume([Placed, Cancelled], ({ n }, context) => void seen.push(`${context.message.type} ${n}`)),
    )
    await kit.send([placed(1, 'a'), Cancelled({ n: 2 }, { key: 'a' })])
    await kit.reached('message.handled', 2)
    expect(seen).toEqual(['placed 1', 'cancelled 2'])
  })

  test('a store that fails for a while stops nothing for good, and nothing is acked before it is recorded', async () => {
    let down = 2
    const kit = await service()
    const begin = kit.store.inbox.begin.bind(kit.store.inbox)
    kit.store.inbox.begin = (...given) => {
      if (down-- > 0) throw new TandemError('STORE_UNAVAILABLE', 'the database is gone for a moment')
      return begin(...given)
    }
    kit.tandem.consume(Placed, ({ n }, { tx }) => effect(tx, n))
    await kit.tandem.start()
    await kit.send(placed(1))
    await kit.reached('message.handled')
    expect(kit.of('loop.failed').map(({ loop, failures }) => [loop, failures])).toEqual([
      ['consumer', 1],
      ['consumer', 2],
    ])
    expect(kit.of('message.failed'), 'not the fault of the message').toEqual([])
    expect(numbers(kit)).toEqual([1])
    await kit.tandem.stop()
  })
})
