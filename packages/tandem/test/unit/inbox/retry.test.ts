// Retries that meet each other, and those that take their process down.
import { afterEach, describe, expect, test } from 'vitest'
import { readEnvelope } from '../../../src/core/wire.ts'
import type { Runtime } from '../../../src/engine/runtime.ts'
import type { Group } from '../../../src/inbox/group.ts'
import { GroupRegistry } from '../../../src/inbox/groups.ts'
import type { ConsumeOptions, Handler } from '../../../src/inbox/options.ts'
import { retryOne } from '../../../src/inbox/retry.ts'
import type { RetryMessage } from '../../../src/spi/store.ts'
import { failAt } from '../../../src/testing/index.ts'
import { turns } from '../../support/clock.ts'
import { engineKit, Numbered, type Kit } from '../../support/engine.ts'
import { rows, type Tx } from '../../support/store.ts'

const LEASE = 5000
const disarm: (() => void)[] = []
afterEach(() => disarm.splice(0).forEach((one) => one()))

function groupOf(runtime: Runtime<Tx>, handler: Handler<Tx, { n: number }>, options: ConsumeOptions = {}): Group<Tx> {
  const registry = new GroupRegistry<Tx>()
  registry.add([Numbered], handler, options, 'g')
  const [settled] = registry.all({ concurrency: 1 })
  return {
    ...settled!,
    runtime,
    lease: LEASE,
    cutting: new AbortController().signal,
    sent: () => undefined,
    setAside: () => undefined,
  }
}

/** Records a message that failed once, due now. */
async function failed(kit: Kit): Promise<RetryMessage> {
  const outgoing = await kit.outgoing(1)
  const { id, type, source, causationId, correlationId } = readEnvelope(outgoing)
  const message = { ...outgoing, id, type, source, causationId, correlationId, sentAt: 0 }
  const attempt = { error: 'the first time', stack: '', process: 'host:1' }
  await kit.store.inbox.recordFailure('g', message, attempt, { state: 'retrying', delay: 0 }, false)
  return due(kit)
}

async function due(kit: Kit): Promise<RetryMessage> {
  const [first] = (await kit.store.inbox.due(['g'], 10)).due
  return first!
}

const outbox = ({ db }: Kit): number => rows(db, 'SELECT 1 FROM tandem_outbox').length
const attempts = ({ db }: Kit): string[] =>
  rows<{ error: string }>(db, 'SELECT error FROM tandem_inbox_attempt ORDER BY attempt').map(({ error }) => error)

describe('two processes with one retry', () => {
  test('at the same moment: one of them handles it', async () => {
    const kit = await engineKit()
    let runs = 0
    const groups = [kit.runtime, kit.another()].map((runtime) => groupOf(runtime, () => void runs++))
    const retry = await failed(kit)
    await Promise.all(groups.map((group) => retryOne(group, retry)))
    expect(runs).toBe(1)
    expect(kit.of('message.handled')).toMatchObject([{ attempt: 2 }])
  })

  test('one was so slow that the other took over: what the slow one sent is not sent', async () => {
    const kit = await engineKit()
    const gate = Promise.withResolvers<void>()
    const slow = groupOf(
      kit.runtime,
      async ({ n }, { send }) => {
        await gate.promise
        await send(Numbered({ n: n + 100 }))
      },
      { transaction: false },
    )
    const other = groupOf(kit.another(), ({ n }, { send }) => send(Numbered({ n: n + 200 })), { transaction: false })
    const first = retryOne(slow, await failed(kit))
    await turns()
    kit.clock.jump(LEASE)
    const taken = await due(kit)
    expect(taken).toMatchObject({ unfinished: true, attempts: 2 })
    await retryOne(other, taken)
    gate.resolve()
    await first
    expect(outbox(kit)).toBe(1)
    expect(kit.of('message.handled')).toMatchObject([{ attempt: 3 }])
  })

  test('one was so slow that the other took over: its failure changes nothing', async () => {
    const kit = await engineKit()
    const gate = Promise.withResolvers<void>()
    const slow = groupOf(
      kit.runtime,
      async () => {
        await gate.promise
        throw new Error('much too late')
      },
      { transaction: false, retry: { maxAttempts: 2 } },
    )
    const first = retryOne(slow, await failed(kit))
    await turns()
    kit.clock.jump(LEASE)
    await retryOne(
      groupOf(kit.another(), () => undefined),
      await due(kit),
    )
    gate.resolve()
    await first
    expect(await kit.store.inbox.state('g', kit.of('message.handled')[0]?.id ?? '')).toBe('handled')
    expect(kit.of('message.dead')).toEqual([])
  })

  test('one was so slow that the other took over and failed: the slow one has nothing to say any more', async () => {
    const kit = await engineKit()
    const gate = Promise.withResolvers<void>()
    const slow = groupOf(
      kit.runtime,
      async ({ n }, { send }) => {
        await gate.promise
        await send(Numbered({ n }))
      },
      { transaction: false },
    )
    const failing = groupOf(kit.another(), () => Promise.reject(new Error('not yet')), { retry: { delays: [1000] } })
    const first = retryOne(slow, await failed(kit))
    await turns()
    kit.clock.jump(LEASE)
    await retryOne(failing, await due(kit))
    gate.resolve()
    await first
    expect(outbox(kit)).toBe(0)
    kit.clock.jump(1000)
    expect(await due(kit), 'it is tried again, once').toMatchObject({ attempts: 3, unfinished: false })
  })
})

describe('a retry that takes its process down', () => {
  test('counts, although nobody was left to say so', async () => {
    const kit = await engineKit()
    disarm.push(failAt('retry.begun'))
    const group = groupOf(kit.runtime, () => undefined)
    await expect(retryOne(group, await failed(kit))).rejects.toThrow('simulated crash')
    expect((await kit.store.inbox.due(['g'], 10)).due, 'not before its lease is over').toEqual([])
    kit.clock.jump(LEASE)
    expect(await due(kit)).toMatchObject({ attempts: 2, attemptsInRound: 2, unfinished: true })
    expect(attempts(kit)).toEqual(['the first time', expect.stringContaining('HANDLER_DIED')])
  })

  test('ends as a dead letter after the last attempt that the policy allows, and is not handled again', async () => {
    const kit = await engineKit()
    let runs = 0
    const group = groupOf(kit.runtime, () => void runs++, { retry: { maxAttempts: 3 } })
    await failed(kit)
    for (let attempt = 2; attempt <= 3; attempt++) {
      disarm.push(failAt('retry.begun'))
      await expect(retryOne(group, await due(kit))).rejects.toThrow('simulated crash')
      disarm.splice(0).forEach((one) => one())
      kit.clock.jump(LEASE)
    }
    await retryOne(group, await due(kit))
    expect(runs).toBe(0)
    expect(kit.of('message.dead')).toMatchObject([
      { reason: 'attempts-exhausted', error: expect.any(String) as string },
    ])
    expect(kit.of('message.dead')[0]?.error).toMatch(/the process died in attempt 3, the last one allowed/)
  })
})
