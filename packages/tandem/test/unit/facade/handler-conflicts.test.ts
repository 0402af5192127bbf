// What becomes of a message whose transaction loses against another one.
import { describe, expect, test } from 'vitest'
import { message, type ConsumeOptions, type Handler } from '../../../src/index.ts'
import { effect, effects, failedAttempts, inboxStates, running, written, type Service } from '../../support/facade.ts'
import type { Tx } from '../../support/store.ts'

const Placed = message<{ n: number }>('placed')
const Replied = message<{ n: number }>('replied')

const consuming = (handler: Handler<Tx, { n: number }>, options?: ConsumeOptions): Promise<Service & AsyncDisposable> =>
  running((tandem) => tandem.consume(Placed, handler, options))

/** What SQLite says when a transaction has lost. */
const lost = (): Error => Object.assign(new Error('snapshot is out of date'), { code: 'SQLITE_BUSY_SNAPSHOT' })

describe('a transaction that loses against another one', () => {
  test('is run again at once, and that is no attempt', async () => {
    let runs = 0
    await using kit = await consuming(async ({ n }, { tx, attempt, send }) => {
      effect(tx, n, `attempt ${attempt}`)
      await send(Replied({ n }))
      if (++runs < 5) throw lost()
    })
    await kit.send(Placed({ n: 1 }))
    expect(await kit.reached('message.handled')).toMatchObject({ attempt: 1 })
    expect([runs, effects(kit.db)]).toEqual([5, [{ n: 1, note: 'attempt 1' }]])
    expect([kit.of('message.failed'), failedAttempts(kit.db), inboxStates(kit.db)]).toEqual([[], [], ['handled']])
    await kit.reached('message.published', 2)
    expect(kit.of('message.published').filter(({ type }) => type === 'replied')).toHaveLength(1)
  })

  test('is a failed attempt when it loses again and again', async () => {
    const runs = new Map<number, number>()
    await using kit = await consuming(
      (_payload, { attempt }) => {
        runs.set(attempt, (runs.get(attempt) ?? 0) + 1)
        if (attempt === 1) throw lost()
      },
      { retry: { delays: [0] } },
    )
    await kit.send(Placed({ n: 1 }))
    expect(await kit.reached('message.handled')).toMatchObject({ attempt: 2 })
    expect([...runs]).toEqual([
      [1, 10],
      [2, 1],
    ])
    expect(failedAttempts(kit.db).map(({ error }) => error)).toEqual(['Error: snapshot is out of date'])
  })

  test('is run again in a later attempt as well, and the message is handled once', async () => {
    const seen: number[] = []
    await using kit = await consuming(
      ({ n }, { tx, attempt }) => {
        seen.push(attempt)
        effect(tx, n)
        if (attempt === 1) throw new Error('no')
        if (seen.length < 4) throw lost()
      },
      { retry: { delays: [0] } },
    )
    await kit.send(Placed({ n: 1 }))
    expect(await kit.reached('message.handled')).toMatchObject({ attempt: 2 })
    expect([seen, effects(kit.db).length]).toEqual([[1, 2, 2, 2], 1])
    expect(failedAttempts(kit.db).map(({ attempt }) => attempt)).toEqual([1])
    expect(written(kit.db)).toMatchObject({ inbox: 1 })
  })

  test('a handler outside of the transaction is not called again when its inbox row loses', async () => {
    let calls = 0
    let begun = 0
    await using kit = await running((tandem, { store }) => {
      const { begin } = store.inbox
      Object.assign(store.inbox, {
        begin: (...args: Parameters<typeof begin>) => {
          if (++begun < 3) throw lost()
          return begin(...args)
        },
      })
      tandem.consume(Placed, () => void calls++, { transaction: false })
    })
    await kit.send(Placed({ n: 1 }))
    await kit.reached('message.handled')
    expect([calls, begun]).toEqual([1, 3])
  })
})
