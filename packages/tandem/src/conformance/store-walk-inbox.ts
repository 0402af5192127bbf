import assert from 'node:assert/strict'
import type { BeginOutcome, InboxMessage, NextStep } from '../spi/store.ts'
import { ACT, FAILED, incoming, RollBack, seeded, type StoreBench } from './store-kit.ts'

const G = 'group'
const KEYS = ['a', 'b', undefined]
const STEPS = 150

/**
 * An ordered consumer group whose handlers fail, and whose processes die, at random; a broker that delivers again; a person who replays
 * and discards: each message is handled once or was given up, and each key in the order in which it arrived.
 */
export async function walkInbox<Tx>(bench: StoreBench<Tx>, seed: number): Promise<void> {
  const { store, other, advance } = bench
  const random = seeded(seed)
  const below = (limit: number): number => Math.floor(random() * limit)
  const arrived: InboxMessage[] = []
  const handled: string[] = []
  const discarded = new Set<string>()
  let likelihood = 0.6

  const outcome = (): NextStep =>
    random() < 0.4 ? { state: 'dead', reason: 'not-retryable' } : { state: 'retrying', delay: below(50) }

  /** What the engine's consumer does with one delivery until it can ack. */
  const deliver = async (message: InboxMessage): Promise<void> => {
    const at = random() < 0.5 ? store : other
    const succeeds = random() < likelihood
    const outcomes: BeginOutcome[] = []
    const handling = at.transaction(async (tx) => {
      outcomes.push(...(await at.inbox.begin(tx, G, [message], true)))
      if (outcomes[0] === 'new' && !succeeds) throw new RollBack()
    })
    await handling.catch((error: unknown) => assert.ok(error instanceof RollBack, String(error)))
    if (outcomes[0] === 'duplicate') return
    if (outcomes[0] === 'new' && succeeds) handled.push(message.id)
    else if (outcomes[0] === 'new') await at.inbox.recordFailure(G, message, FAILED, outcome(), true)
    else if ((await at.inbox.block(G, message)) === 'free') await deliver(message)
  }

  const arrive = async (): Promise<void> => {
    const again = random() < 0.2 ? arrived[below(arrived.length)] : undefined
    const message = again ?? incoming(KEYS[below(KEYS.length)])
    if (again === undefined) arrived.push(message)
    await deliver(message)
  }

  const retry = async (): Promise<void> => {
    const { due } = await store.inbox.due([G], 1 + below(5))
    for (const message of due) {
      const version = await store.inbox.beginRetry(message, 'host:1', 20)
      if (version === undefined) continue
      const begun = { ...message, version }
      // The process dies, before or after the commit of what it did.
      if (random() < 0.1 && likelihood < 1) continue
      if (random() < likelihood) {
        assert.ok(await store.transaction((tx) => store.inbox.completeRetry(tx, begun)))
        handled.push(message.id)
      } else assert.ok(await store.inbox.failRetry(begun, FAILED, outcome()))
    }
  }

  const decide = async (): Promise<void> => {
    const letters = await store.admin.deadLetters({ group: G }, { limit: 100 })
    const letter = letters[below(letters.length)]
    if (letter === undefined) return
    if (random() < 0.6) await store.admin.replayDeadLetter(letter, ACT)
    else if (await store.admin.discardDeadLetter(letter, ACT)) discarded.add(letter.id)
  }

  for (let step = 0; step < STEPS; step++) {
    const dice = random()
    if (dice < 0.4) await arrive()
    else if (dice < 0.75) await retry()
    else if (dice < 0.85) await decide()
    else await advance(below(60))
  }
  // From here on the handlers work, and a person replays everything that is dead.
  likelihood = 1
  for (let round = 0; round < 1000 && (await unfinished(bench)) > 0; round++) {
    for (const letter of await store.admin.deadLetters({}, { limit: 1000 })) {
      await store.admin.replayDeadLetter(letter, ACT)
    }
    await advance(50)
    await retry()
  }
  assert.equal(await unfinished(bench), 0, 'something never came back')

  assert.equal(new Set(handled).size, handled.length, 'nothing is handled twice')
  for (const { id } of arrived) assert.ok(handled.includes(id) !== discarded.has(id), `${id} was lost, or both`)
  for (const key of KEYS.slice(0, -1)) {
    const inOrder = arrived.filter((message) => message.key === key).map(({ id }) => id)
    const ofKey = new Set(inOrder)
    assert.deepEqual(
      handled.filter((id) => ofKey.has(id)),
      inOrder.filter((id) => !discarded.has(id)),
      `key ${key} in the order of arrival`,
    )
  }
}

async function unfinished<Tx>({ store }: StoreBench<Tx>): Promise<number> {
  const { inbox } = await store.admin.overview()
  return inbox.reduce((sum, { states }) => sum + states.retrying + states.blocked + states.dead, 0)
}
