import { expect } from 'vitest'
import { rows } from '../store.ts'
import type { Simulation } from './run.ts'
import { numberOf } from './run.ts'
import { GROUPS, type ServiceName, type World } from './world.ts'

/** Numbers of the messages that were sent by the local transactions of `order` that committed: the rows say so. */
function sent({ world, model }: Simulation): number[] {
  const local = world.effects('order', 'sender')
  const waiting = undecided(world)
  const legacy = [...model.halves].filter((n) => world.legacy.get(n) === 'committed' && !waiting.includes(n))
  return [...local, ...legacy].toSorted((a, b) => a - b)
}

/** Numbers of the half messages that wait for a person. */
function undecided({ services }: World): number[] {
  return rows<{ body: Uint8Array }>(services.order.db, "SELECT body FROM tandem_half WHERE state = 'undecided'").map(
    ({ body }) => numberOf(body),
  )
}

/** What each group must have applied in the end. */
function expected(simulation: Simulation): Record<string, number[]> {
  const { discarded } = simulation.model
  const without = (numbers: readonly number[], ...places: readonly string[]): number[] =>
    numbers.filter((n) => !places.some((place) => discarded.has(`${place}/${n}`)))
  const placed = without(sent(simulation), 'outbox order')
  const stock = without(placed, 'inbox stock')
  return {
    stock,
    audit: without(placed, 'inbox audit'),
    // A reply is sent by who has reserved.
    order: without(stock, 'outbox stock', 'inbox order'),
  }
}

/** Messages on the producer's side, with the places that have each; half messages count while they are undecided. */
function produced(world: World, service: ServiceName): Map<string, string[]> {
  const { db } = world.services[service]
  const places = rows<{ id: string; place: string }>(
    db,
    `SELECT id, 'unsent' AS place FROM tandem_outbox UNION ALL SELECT id, state FROM tandem_outbox_held
     UNION ALL SELECT id, state FROM tandem_half WHERE state IN ('prepared', 'undecided')`,
  )
  const found = new Map<string, string[]>()
  for (const { id, place } of places) found.set(id, [...(found.get(id) ?? []), place])
  return found
}

/** What holds at every moment: each message is in one named state, and nothing is lost in between. */
export async function checkAlways(simulation: Simulation): Promise<void> {
  const { world } = simulation
  for (const service of ['order', 'stock'] as const) {
    for (const [id, places] of produced(world, service)) {
      expect(places, `message ${id} is in one place of ${service}'s outbox`).toHaveLength(1)
    }
  }
  for (const { group, service } of GROUPS) {
    const applied = world.effects(service, group)
    expect(new Set(applied).size, `no effect twice in ${group}: ${applied.join(', ')}`).toBe(applied.length)
  }
  // What the broker has taken is, for each group of its topic, either still to come or in the inbox.
  for (const { group, service, type } of GROUPS) {
    const recorded = rows<{ id: string }>(
      world.services[service].db,
      'SELECT message_id AS id FROM tandem_inbox WHERE group_name = ?',
      group,
    )
    const known = new Set(recorded.map(({ id }) => id))
    for (const { headers, topic } of world.published) {
      const id = headers['ce-id'] ?? ''
      if (topic !== type || known.has(id)) continue
      const trace = await world.broker.find?.(id)
      const passed = trace?.groups.find((one) => one.group === group)?.passed ?? true
      expect(passed, `message ${id} is lost to ${group}`).toBe(false)
    }
  }
}

/** What holds when everybody has done their work. */
export function checkAtRest(simulation: Simulation): void {
  const { world, model } = simulation
  const local = new Set(world.effects('order', 'sender'))
  for (const n of model.committed) expect(local.has(n), `the local transaction of ${n} has committed`).toBe(true)
  for (const n of model.rolledBack) expect(local.has(n), `the local transaction of ${n} was rolled back`).toBe(false)

  const wanted = expected(simulation)
  for (const { group, service } of GROUPS) {
    const applied = world.effects(service, group)
    expect(
      applied.toSorted((a, b) => a - b),
      `${group} has applied everything that was sent, once`,
    ).toEqual(wanted[group])
    const states = rows<{ state: string; n: number }>(
      world.services[service].db,
      'SELECT state, count(*) AS n FROM tandem_inbox WHERE group_name = ? GROUP BY state',
      group,
    )
    const finished = states.filter(({ state }) => state === 'handled' || state === 'discarded')
    expect(states, `everything in ${group} is finished`).toEqual(finished)
  }
  // The order of a key, in the group that asked for it.
  const stock = world.effects('stock', 'stock')
  for (const [key, numbers] of model.inOrder) {
    const order = numbers.filter((n) => stock.includes(n))
    expect(
      stock.filter((n) => order.includes(n)),
      `the order of key ${key}`,
    ).toEqual(order)
  }
  // Half messages have ended as their local transactions did, or wait for a person because nobody could know.
  for (const n of undecided(world)) {
    const known = world.legacy.get(n) !== 'open' && !model.parked.has(n)
    expect(known, `half message ${n} is undecided although its local transaction has ended`).toBe(false)
  }
}
