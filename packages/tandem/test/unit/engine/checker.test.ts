import { describe, expect, test } from 'vitest'
import { DEFAULT_CHECK_SCHEDULE, type HalfState } from '../../../src/core/half-state.ts'
import { message } from '../../../src/core/message.ts'
import { Checker, type CheckAnswerer } from '../../../src/engine/checker.ts'
import { LeaseKeeper } from '../../../src/engine/lease-keeper.ts'
import { turns, until } from '../../support/clock.ts'
import { engineKit, numberIn, storeWith, type Kit } from '../../support/engine.ts'
import { rows, type TestStore } from '../../support/store.ts'

const NO_SIGNAL = new AbortController().signal
const { transactionTimeOut, transactionCheckInterval, transactionCheckMax } = DEFAULT_CHECK_SCHEDULE

async function setUp(answerer?: CheckAnswerer, store?: (kit: Kit) => TestStore) {
  const kit = await engineKit()
  const runtime = store === undefined ? kit.runtime : { ...kit.runtime, store: store(kit) }
  const leases = new LeaseKeeper(runtime, 10_000, () => undefined)
  let committed = 0
  const checker = new Checker(runtime, leases, DEFAULT_CHECK_SCHEDULE, () => void committed++)
  const asked: number[] = []
  if (answerer !== undefined) {
    checker.answer('numbered', (half) => {
      asked.push(numberIn(half))
      return answerer(half)
    })
  }
  leases.want(['checker'])
  return {
    ...kit,
    leases,
    checker,
    asked,
    committed: () => committed,
    /** Lets this time pass and checks what is due then. */
    after: async (ms: number) => {
      kit.clock.jump(ms)
      await leases.tick()
      return checker.tick(NO_SIGNAL)
    },
  }
}

async function prepare(kit: Kit, n: number, barrier = false): Promise<string> {
  const outgoing = await kit.outgoing(n)
  await kit.store.half.prepare(outgoing, { barrier, firstCheckIn: transactionTimeOut })
  return outgoing.id
}

const states = ({ db }: Kit): [HalfState, number][] =>
  rows<{ state: HalfState; answered: number }>(db, 'SELECT state, answered FROM tandem_half ORDER BY seq').map(
    ({ state, answered }) => [state, answered],
  )
const unsent = ({ db }: Kit): number[] =>
  rows<{ body: Uint8Array }>(db, 'SELECT body FROM tandem_outbox ORDER BY position').map(numberIn)

describe('the answer of a user’s check', () => {
  test('commit puts the message into the outbox; rollback ends it', async () => {
    const kit = await setUp(async (half) => (numberIn(half) === 1 ? 'commit' : 'rollback'))
    const ids = [await prepare(kit, 1), await prepare(kit, 2)]
    expect(await kit.after(transactionTimeOut - 1)).toBe(1)
    expect(kit.asked).toEqual([])
    await kit.after(1)
    expect(kit.asked).toEqual([1, 2])
    expect(states(kit)).toEqual([
      ['committed', 0],
      ['rolled-back', 0],
    ])
    expect(unsent(kit)).toEqual([1])
    expect(kit.committed()).toBe(1)
    expect(kit.of('half.resolved')).toMatchObject([
      { id: ids[0], state: 'committed' },
      { id: ids[1], state: 'rolled-back' },
    ])
    await kit.after(100_000)
    expect(kit.asked, 'nobody asks again').toEqual([1, 2])
  })

  test.each<[string, unknown, string]>([
    ['true', true, 'the check answered true'],
    ['COMMIT', 'COMMIT', 'the check answered COMMIT'],
    ['nothing', undefined, 'the check answered undefined'],
    ['an object', { commit: true }, 'the check answered [object Object]'],
    ['an object without a prototype', Object.create(null), 'no text'],
    ['a symbol', Symbol('s'), 'the check answered Symbol(s)'],
  ])('that is odd (%s) is unknown: never a commit, never a rollback', async (_name, answer, error) => {
    const kit = await setUp(async () => answer)
    await prepare(kit, 1)
    await kit.after(transactionTimeOut)
    expect(states(kit)).toEqual([['prepared', 1]])
    expect(unsent(kit)).toEqual([])
    const [checked] = kit.of('half.checked')
    expect(checked).toMatchObject({ answer: 'unknown' })
    if (error !== 'no text') expect(checked?.error).toBe(error)
    else expect(checked?.error).toEqual(expect.any(String))
  })

  test.each<[string, CheckAnswerer]>([
    ['rejects', () => Promise.reject(new Error('legacy is down'))],
    [
      'throws',
      () => {
        throw new Error('legacy is down')
      },
    ],
  ])('that %s is unknown, and the error is kept', async (_name, answerer) => {
    const kit = await setUp(answerer)
    await prepare(kit, 1)
    await kit.after(transactionTimeOut)
    expect(states(kit)).toEqual([['prepared', 1]])
    expect(rows(kit.db, 'SELECT last_error FROM tandem_half')).toEqual([{ last_error: 'Error: legacy is down' }])
  })

  test('unknown is asked again every interval, and parked after the maximum: never rolled back in silence', async () => {
    const kit = await setUp(async () => 'unknown')
    const id = await prepare(kit, 1)
    await kit.after(transactionTimeOut)
    for (let i = 1; i < transactionCheckMax; i++) {
      expect(states(kit)).toEqual([['prepared', i]])
      await kit.after(transactionCheckInterval - 1)
      expect(kit.asked, 'not before the interval is over').toHaveLength(i)
      await kit.after(1)
    }
    expect(kit.asked).toHaveLength(transactionCheckMax)
    expect(states(kit)).toEqual([['undecided', transactionCheckMax]])
    expect(kit.of('half.undecided')).toMatchObject([{ id, type: 'numbered' }])
    await kit.after(100_000_000)
    expect(kit.asked, 'it is for a person now').toHaveLength(transactionCheckMax)
    expect(await kit.store.half.resolve(id, 'commit')).toEqual({ state: 'committed', changed: true })
    expect(unsent(kit)).toEqual([1])
  })

  test('that never comes is given up after a time, and stops neither other checks nor stop()', async () => {
    const kit = await setUp((half) => (numberIn(half) === 1 ? new Promise(() => undefined) : Promise.resolve('commit')))
    const Other = message<{ n: number }>('other')
    kit.checker.answer('other', async () => 'commit')
    await prepare(kit, 1)
    const barrier = await prepare(kit, 2, true)
    const other = await kit.outgoing(3, undefined, {}, Other)
    await kit.store.half.prepare(other, { barrier: false, firstCheckIn: 0 })
    await kit.leases.start()
    kit.checker.start()
    await kit.clock.advance(transactionTimeOut)
    await until(() => kit.of('half.resolved').length === 2)
    expect(kit.of('half.resolved').map(({ id }) => id)).toEqual(expect.arrayContaining([barrier, other.id]))
    await kit.clock.advance(30_000)
    await until(() => kit.of('half.checked').some(({ answer }) => answer === 'unknown'))
    expect(states(kit)[0]).toEqual(['prepared', 1])
    await kit.clock.advance(transactionCheckInterval)
    await until(() => kit.asked.length === 2)
    // The second question hangs as well.
    await kit.checker.stop()
    expect(states(kit)[0], 'a check that was cut off by stop() has not been answered').toEqual(['prepared', 1])
    await kit.leases.stop()
  })
})

describe('nobody online', () => {
  test('never counts: a year later it is still prepared, and the first who can answer is asked', async () => {
    const kit = await setUp()
    await prepare(kit, 1)
    for (let i = 0; i < 20; i++) await kit.after(DAY * 20)
    expect(states(kit)).toEqual([['prepared', 0]])
    expect(kit.of('half.checked')).toEqual([])
    kit.checker.answer('numbered', async () => 'commit')
    await kit.after(0)
    expect(states(kit)).toEqual([['committed', 0]])
  })

  test('one that has a check for other types only is nobody', async () => {
    const kit = await setUp()
    kit.checker.answer('other', async () => 'rollback')
    await prepare(kit, 1)
    await kit.after(DAY)
    expect(states(kit)).toEqual([['prepared', 0]])
  })

  test('two processes that can answer never ask at the same time', async () => {
    const kit = await setUp(async () => 'unknown')
    const other = kit.another()
    const leases = new LeaseKeeper(other, 10_000, () => undefined)
    const second = new Checker(other, leases, DEFAULT_CHECK_SCHEDULE, () => undefined)
    second.answer('numbered', async () => 'unknown')
    await prepare(kit, 1)
    kit.clock.jump(transactionTimeOut)
    await kit.leases.tick()
    await leases.tick()
    await Promise.all([kit.checker.tick(NO_SIGNAL), second.tick(NO_SIGNAL)])
    expect(kit.of('half.checked')).toHaveLength(1)
  })
})

const DAY = 86_400_000

describe('a half message with a barrier answers itself', () => {
  test('commit when the local transaction has committed', async () => {
    const kit = await setUp()
    const id = await prepare(kit, 1, true)
    await kit.store.transaction((tx) => kit.store.half.insertBarrier(tx, id))
    await kit.after(transactionTimeOut)
    expect(states(kit)).toEqual([['committed', 0]])
    expect(unsent(kit)).toEqual([1])
  })

  test('rollback when there is none; a local transaction that comes later must fail', async () => {
    const kit = await setUp()
    const id = await prepare(kit, 1, true)
    await kit.after(transactionTimeOut)
    expect(states(kit)).toEqual([['rolled-back', 0]])
    const late = kit.store.transaction((tx) => kit.store.half.insertBarrier(tx, id))
    await expect(late).rejects.toMatchObject({ code: 'BARRIER_CLOSED' })
    expect(unsent(kit)).toEqual([])
  })

  test('rollback when the local transaction was rolled back', async () => {
    const kit = await setUp()
    const id = await prepare(kit, 1, true)
    await kit.store
      .transaction(async (tx) => {
        await kit.store.half.insertBarrier(tx, id)
        throw new Error('out of stock')
      })
      .catch(() => undefined)
    await kit.after(transactionTimeOut)
    expect(states(kit)).toEqual([['rolled-back', 0]])
  })

  test('unknown while the local transaction is open, which then commits: the check does not roll it back', async () => {
    const kit = await setUp(undefined, (of) =>
      storeWith(of.store, {
        half: {
          // As long as the local transaction of this test takes, at most; a second is too long for a test.
          closeBarrier: (id) => of.store.half.closeBarrier(id, 1),
        },
      }),
    )
    const id = await prepare(kit, 1, true)
    kit.clock.jump(transactionTimeOut)
    await kit.leases.tick()
    const open = Promise.withResolvers<void>()
    const gate = Promise.withResolvers<void>()
    const local = kit.store.transaction(async (tx) => {
      await kit.store.half.insertBarrier(tx, id)
      open.resolve()
      await gate.promise
    })
    await open.promise
    const checked = kit.store.half.closeBarrier(id, 1)
    expect(await checked).toBe('unknown')
    gate.resolve()
    await local
    await kit.checker.tick(NO_SIGNAL)
    expect(states(kit)).toEqual([['committed', 0]])
  })

  test('unknown is counted and tried again', async () => {
    let answer: 'unknown' | 'rollback' = 'unknown'
    const kit = await setUp(undefined, (of) => storeWith(of.store, { half: { closeBarrier: async () => answer } }))
    await prepare(kit, 1, true)
    await kit.after(transactionTimeOut)
    expect(states(kit)).toEqual([['prepared', 1]])
    expect(kit.of('half.checked')).toMatchObject([{ error: 'the local transaction is still open' }])
    answer = 'rollback'
    await kit.after(transactionCheckInterval)
    expect(states(kit)).toEqual([['rolled-back', 1]])
  })
})

describe('a check that races', () => {
  test('with commit(): what came first stands, and the message is in the outbox once', async () => {
    const kit = await setUp(async (half) => {
      // Between the question and its answer the process itself commits.
      await kit.store.half.resolve(half.id, 'commit')
      return 'rollback'
    })
    await prepare(kit, 1)
    await kit.after(transactionTimeOut)
    expect(states(kit)).toEqual([['committed', 0]])
    expect(unsent(kit)).toEqual([1])
    expect(kit.committed(), 'not by this check').toBe(0)
    expect(kit.of('half.resolved')).toEqual([])
  })

  test('with rollback(), and answers unknown: it is not made prepared again', async () => {
    const kit = await setUp(async (half) => {
      await kit.store.half.resolve(half.id, 'rollback')
      return 'unknown'
    })
    await prepare(kit, 1)
    await kit.after(transactionTimeOut)
    expect(states(kit)).toEqual([['rolled-back', 0]])
  })

  test('with the loss of its lease: an unknown is not counted twice', async () => {
    const kit = await setUp(async () => {
      kit.clock.jump(10_001)
      const other = kit.another()
      await other.store.leases.exchange(other.process, [['checker/numbered']], 10_000)
      return 'unknown'
    })
    await prepare(kit, 1)
    await kit.after(transactionTimeOut)
    expect(states(kit)).toEqual([['prepared', 0]])
  })
})

test('a store that fails while one duty is done does not keep the others from theirs', async () => {
  const kit = await setUp(
    async () => 'commit',
    (of) => storeWith(of.store, { half: { closeBarrier: () => Promise.reject(new Error('down')) } }),
  )
  await prepare(kit, 1, true)
  await prepare(kit, 2)
  await expect(kit.after(transactionTimeOut)).rejects.toThrow('down')
  await turns()
  expect(states(kit)).toEqual([
    ['prepared', 0],
    ['committed', 0],
  ])
})
