import assert from 'node:assert/strict'
import type { Hold, OutboxMessage } from '../spi/store.ts'
import { ACT, outgoing, seeded, type StoreBench } from './store-kit.ts'

const KEYS = ['a', 'b', 'c', undefined]
const STEPS = 150

/**
 * A relay on a broker that fails at random, senders, and a person who decides at random: each key is first published in the order in
 * which it was sent, and in the end everything is published or was given up.
 */
export async function walkOutbox<Tx>(bench: StoreBench<Tx>, seed: number): Promise<void> {
  const { store, advance, send, lease } = bench
  const random = seeded(seed)
  const below = (limit: number): number => Math.floor(random() * limit)
  const sent: { id: string; key: string | undefined }[] = []
  const published: string[] = []
  const discarded = new Set<string>()

  const sendSome = async (): Promise<void> => {
    const messages = Array.from({ length: 1 + below(4) }, () => outgoing(KEYS[below(KEYS.length)]))
    await send(...messages)
    sent.push(...messages)
  }

  /** What the engine's relay does, on a broker that confirms with this likelihood. */
  const relay = async (likelihood: number): Promise<void> => {
    const fences = await lease()
    const failed = new Set<string | undefined>()
    const confirmed: OutboxMessage[] = []
    const holds: Hold[] = []
    for (const message of await store.outbox.read(fences, 1 + below(10))) {
      const { position, key } = message
      if (message.behindHeld || (key !== undefined && failed.has(key))) {
        holds.push({ position, state: 'behind', delay: 0, error: undefined })
      } else if (random() < likelihood) {
        confirmed.push(message)
        published.push(message.id)
      } else {
        failed.add(key)
        const state = random() < 0.3 ? 'unsendable' : 'waiting'
        holds.push({ position, state, delay: below(50), error: 'Error: no' })
      }
    }
    // Whatever is not recorded before the relay dies is published again.
    if (random() < 0.9) await store.outbox.remove(fences, confirmed)
    if (random() < 0.9) await store.outbox.hold(fences, holds)
    await store.outbox.promote(fences, 1 + below(5))
  }

  const decide = async (): Promise<void> => {
    const rows = await store.admin.heldMessages({}, { limit: 100 })
    const row = rows[below(rows.length)]
    if (row === undefined) return
    if (random() < 0.5) await store.admin.retryHeld(row.id, ACT)
    else if (await store.admin.discardHeld(row.id, ACT)) discarded.add(row.id)
  }

  for (let step = 0; step < STEPS; step++) {
    const dice = random()
    if (dice < 0.3) await sendSome()
    else if (dice < 0.8) await relay(0.7)
    else if (dice < 0.9) await decide()
    else await advance(below(60))
  }
  // From here on nothing fails any more, and a person lets everything unsendable try again.
  for (let round = 0; round < 1000 && !(await isEmpty(bench)); round++) {
    for (const { id } of await store.admin.heldMessages({ state: 'unsendable' }, { limit: 1000 })) {
      await store.admin.retryHeld(id, ACT)
    }
    await advance(50)
    await relay(1)
  }
  assert.ok(await isEmpty(bench), 'something never came back')

  const first = [...new Set(published)]
  for (const key of KEYS.slice(0, -1)) {
    const inOrder = sent.filter((message) => message.key === key).map(({ id }) => id)
    const ofKey = new Set(inOrder)
    assert.deepEqual(
      first.filter((id) => ofKey.has(id)),
      inOrder.filter((id) => first.includes(id)),
      `first publications of key ${key} in the order of sending`,
    )
  }
  for (const { id } of sent) assert.ok(first.includes(id) || discarded.has(id), `${id} was lost`)
}

async function isEmpty<Tx>({ store }: StoreBench<Tx>): Promise<boolean> {
  const { outbox } = await store.admin.overview()
  return outbox.unsent === 0 && Object.values(outbox.held).every((count) => count === 0)
}
