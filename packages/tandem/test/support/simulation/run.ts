import { isTandemError } from '../../../src/core/errors.ts'
import { prepare, transact, type Half } from '../../../src/half/half.ts'
import { send } from '../../../src/outbox/send.ts'
import type { Command, Crash, Deliver, Finish, Prepare, Round, Send, Transact } from './commands.ts'
import { BrokerGone } from './connection.ts'
import type { SimulatedProcess } from './process.ts'
import { Placed, type ServiceName, type World } from './world.ts'

const SERVICES: readonly ServiceName[] = ['order', 'stock']
const ACT = { by: 'simulation' }

/** A half message that waits to be finished by the process that prepared it. */
interface OpenHalf {
  readonly n: number
  readonly half: Half
  readonly process: SimulatedProcess
}

/** What must have become of the world, in the plainest words. */
export interface Model {
  /** Numbers of the messages whose local transaction was seen to commit, or must not have. The others may be either. */
  readonly committed: Set<number>
  readonly rolledBack: Set<number>
  /** Of those, the ones that were sent in order: in a plain transaction, without delay. By key. */
  readonly inOrder: Map<string, number[]>
  /** Half messages whose truth is in `world.legacy`. */
  readonly halves: Set<number>
  /** Half messages that were undecided already when their local transactions ended, and were not told. */
  readonly parked: Set<number>
  /** Given up by a person before they were published, or in one group; as `outbox service/n` and `inbox group/n`. */
  readonly discarded: Set<string>
  /** The last number given. */
  n: number
}

export class Simulation {
  readonly world: World
  readonly model: Model = {
    committed: new Set(),
    rolledBack: new Set(),
    inOrder: new Map(),
    halves: new Set(),
    parked: new Set(),
    discarded: new Set(),
    n: 0,
  }
  readonly #open: OpenHalf[] = []

  constructor(world: World) {
    this.world = world
  }

  async run(command: Command): Promise<void> {
    const { world } = this
    switch (command.do) {
      case 'send':
        return this.#send(command)
      case 'prepare':
        return this.#prepare(command)
      case 'finish':
        return this.#finish(command)
      case 'transact':
        return this.#transact(command)
      case 'relay':
      case 'check':
      case 'retry':
        return this.#round(command)
      case 'deliver':
        return this.#deliver(command)
      case 'duplicate':
        return world.duplicate(command.which)
      case 'advance':
        return world.advance(command.ms)
      case 'freeze':
        // It does not see the time that passes for all others.
        world
          .alive(command.service)
          .at(command.by % 2)
          ?.freeze(command.ms)
        return world.advance(command.ms)
      case 'crash':
        world
          .alive(command.service)
          .at(command.by % 2)
          ?.die()
        return world.settle()
      case 'stop':
        await world
          .alive(command.service)
          .at(command.by % 2)
          ?.stop()
        return world.settle()
      case 'begin':
        if (world.alive(command.service).length < 2) await world.begin(command.service)
        return
      case 'ignorance':
        world.ignorance = command.kind
        return
      case 'replay':
      case 'discard':
        return this.#deadLetter(command)
      case 'retry-held':
      case 'discard-held':
        return this.#held(command)
      case 'nothing':
    }
  }

  /** A process of the service; a new one where all are dead, as whoever runs services sees to. */
  async #pick(service: ServiceName, by: number): Promise<SimulatedProcess> {
    const alive = this.world.alive(service)
    return alive[by % Math.max(1, alive.length)] ?? (await this.world.begin(service))
  }

  /** Does something as a process that may be doomed. */
  async #doomed(process: SimulatedProcess, crash: Crash | undefined, act: () => Promise<unknown>): Promise<void> {
    if (crash !== undefined) process.doom(crash.point, crash.nth)
    await act()
    process.spare()
    await this.world.settle()
  }

  async #round({ do: what, service, by, wait, renew, fault, crash }: Round): Promise<void> {
    this.world.advance(wait)
    const process = await this.#pick(service, by)
    if (renew) await process.renew()
    process.connection.fail(fault)
    await this.#doomed(process, crash, () => process[what]().catch(expected))
    process.connection.fail(undefined)
  }

  async #deliver({ service, by, start, count, crash }: Deliver): Promise<void> {
    const process = await this.#pick(service, by)
    await this.#doomed(process, crash, () => process.connection.handOver(start, count))
  }

  async #send({ by, count, key, delay, ends, trouble }: Send): Promise<void> {
    const process = await this.#pick('order', by)
    const numbers = Array.from({ length: count }, () => ++this.model.n)
    if (trouble !== undefined) {
      // The last one has it, so that others of its batch come before it.
      this.world.fails.set(`${trouble.group}/${this.model.n}`, trouble.fails)
      this.world.kills.set(`${trouble.group}/${this.model.n}`, trouble.kills)
    }
    const deliverAt = delay === 0 ? {} : { deliverAt: new Date(this.world.now() + delay) }
    const drafts = numbers.map((n) => Placed({ n }, { ...deliverAt, ...(key === undefined ? {} : { key }) }))
    if (ends === 'crash') process.doom('send.inserted', 1)
    const { store } = process.runtime
    const outcome = await process
      .live(() =>
        store.transaction(async (tx) => {
          for (const n of numbers) tx.prepare("INSERT INTO effects (grp, n) VALUES ('sender', ?)").run(n)
          await send(process.runtime, tx, drafts)
          if (ends === 'rollback') throw new Error('rolled back')
        }),
      )
      .catch(() => 'rolled back')
    process.spare()
    const wanted = { commit: undefined, rollback: 'rolled back', crash: 'died' }[ends]
    if (outcome !== wanted) throw new Error(`send should have ended as ${String(wanted)}, not ${String(outcome)}`)
    for (const n of numbers) (ends === 'commit' ? this.model.committed : this.model.rolledBack).add(n)
    if (ends === 'commit' && delay === 0 && key !== undefined) {
      this.model.inOrder.set(key, [...(this.model.inOrder.get(key) ?? []), ...numbers])
    }
  }

  async #prepare({ by, key, crash }: Prepare): Promise<void> {
    const process = await this.#pick('order', by)
    const n = ++this.model.n
    this.model.halves.add(n)
    this.world.legacy.set(n, 'open')
    if (crash) process.doom('half.prepared', 1)
    const half = await process.live(() => prepare(process.half, Placed({ n }, key === undefined ? {} : { key }), false))
    process.spare()
    if (half !== 'died') this.#open.push({ n, half, process })
  }

  async #finish({ half: which, ends, twice }: Finish): Promise<void> {
    const [open] = this.#open.splice(which % Math.max(1, this.#open.length), 1)
    if (open === undefined) return
    const { n, half, process } = open
    if (process.dead) return
    if (ends.startsWith('lost') && this.world.halfState(half.id) === 'undecided') this.model.parked.add(n)
    this.world.legacy.set(n, ends === 'commit' || ends === 'lost-committed' ? 'committed' : 'failed')
    for (let times = twice ? 2 : 1; times > 0; times--) {
      if (ends === 'commit') await process.live(() => half.commit())
      if (ends === 'rollback') await process.live(() => half.rollback())
    }
  }

  async #transact({ by, key, ends, crash, checkedFirst }: Transact): Promise<void> {
    const process = await this.#pick('order', by)
    const n = ++this.model.n
    if (crash !== undefined) process.doom(crash, 1)
    if (checkedFirst) process.beforeNextTransaction(() => this.#checkNow())
    const draft = Placed({ n }, key === undefined ? {} : { key })
    const outcome = await process
      .live(() =>
        transact(process.half, draft, async (tx) => {
          tx.prepare("INSERT INTO effects (grp, n) VALUES ('sender', ?)").run(n)
          if (ends === 'rollback') throw new Error('rolled back')
          return 'committed' as const
        }),
      )
      .catch((error: unknown) => error)
    process.spare()
    process.beforeNextTransaction(async () => undefined)
    if (outcome === 'committed') this.model.committed.add(n)
    else if (outcome !== 'died') this.model.rolledBack.add(n)
  }

  /** Everything that is due for a check is checked by every process, as if the one that transacts had slept. */
  async #checkNow(): Promise<void> {
    this.world.advance(7000)
    for (const process of this.world.alive('order')) {
      await process.renew()
      await process.check()
    }
  }

  async #deadLetter({ do: act, service, which }: Command & { do: 'replay' | 'discard' }): Promise<void> {
    const { admin } = this.world.services[service].store
    const dead = await admin.deadLetters({}, { limit: 100 })
    const one = dead[which % Math.max(1, dead.length)]
    if (one === undefined) return
    if (act === 'replay') {
      // Twice at the same moment: one of them does it.
      const both = await Promise.all([admin.replayDeadLetter(one, ACT), admin.replayDeadLetter(one, ACT)])
      if (both.filter(Boolean).length !== 1) throw new Error(`two replays of ${one.id} said ${both.join(' and ')}`)
      return
    }
    const detail = await admin.deadLetter(one)
    if (await admin.discardDeadLetter(one, ACT))
      this.model.discarded.add(`inbox ${one.group}/${numberOf(detail?.body)}`)
  }

  async #held({ do: act, service, which }: Command & { do: 'retry-held' | 'discard-held' }): Promise<void> {
    const { store, db } = this.world.services[service]
    const held = await store.admin.heldMessages({ state: 'unsendable' }, { limit: 100 })
    const one = held[which % Math.max(1, held.length)]
    if (one === undefined) return
    if (act === 'retry-held') return void (await store.admin.retryHeld(one.id, ACT))
    const row = db.prepare('SELECT body FROM tandem_outbox_held WHERE id = ?').get(one.id)
    const discarded = await store.admin.discardHeld(one.id, ACT)
    // What the broker took before it refused, with an answer that was lost, cannot be called back.
    if (discarded && (await this.world.broker.find?.(one.id)) === undefined) {
      this.model.discarded.add(`outbox ${service}/${numberOf(row?.['body'] as Uint8Array | undefined)}`)
    }
  }

  /**
   * Everything that went wrong is over, and everybody does their work until there is none left.
   *
   * @returns the rounds that it took, of 10 s each
   */
  async comeToRest(maxRounds: number): Promise<number> {
    const { world } = this
    world.fails.clear()
    world.kills.clear()
    for (const service of SERVICES) {
      for (const process of world.alive(service)) process.spare()
      if (world.alive(service).length === 0) await world.begin(service)
    }
    for (let round = 1; round <= maxRounds; round++) {
      world.advance(10_000)
      for (const service of SERVICES) await this.#wholeRound(service)
      if (await this.#atRest()) return round
    }
    throw new Error(`there is still work after ${maxRounds} rounds`)
  }

  async #wholeRound(service: ServiceName): Promise<void> {
    const { world } = this
    const { admin } = world.services[service].store
    for (const held of await admin.heldMessages({ state: 'unsendable' }, { limit: 100 }))
      await admin.retryHeld(held.id, ACT)
    for (const dead of await admin.deadLetters({}, { limit: 100 })) await admin.replayDeadLetter(dead, ACT)
    for (const process of world.alive(service)) {
      await process.renew()
      for (const what of ['relay', 'check', 'retry'] as const) await process[what]().catch(expected)
      await world.settle()
      await process.connection.handOver(0, 1000)
      await world.settle()
    }
  }

  async #atRest(): Promise<boolean> {
    for (const service of SERVICES) {
      const { store } = this.world.services[service]
      const { outbox, half, inbox } = await store.admin.overview()
      const held = Object.values(outbox.held).reduce((sum, count) => sum + count, 0)
      const waiting = inbox.some(({ states }) => states.retrying + states.blocked + states.dead > 0)
      if (outbox.unsent + held + half.prepared > 0 || waiting) return false
      if (this.world.alive(service).some(({ connection }) => connection.waiting > 0)) return false
    }
    return true
  }
}

export function numberOf(body: Uint8Array | undefined): number {
  return (JSON.parse(new TextDecoder().decode(body)) as { n: number }).n
}

/** A round may find its lease gone, or the broker. Anything else is a fault. */
function expected(error: unknown): void {
  if (!isTandemError(error, 'LEASE_LOST') && !(error instanceof BrokerGone)) throw error
}
