import fc from 'fast-check'
import type { CrashPoint } from '../../../src/core/crash-points.ts'
import type { PublishFault } from './connection.ts'
import type { GroupName, Ignorance, ServiceName } from './world.ts'

/** The process that does it dies when it comes to this point for the nth time. */
export interface Crash {
  readonly point: CrashPoint
  readonly nth: number
}

/** The handler of a group fails so often with a message, or takes its process down, before it succeeds. */
interface Trouble {
  readonly group: GroupName
  readonly fails: number
  readonly kills: number
}

export interface Send {
  readonly do: 'send'
  readonly by: number
  readonly count: number
  readonly key: string | undefined
  /** Milliseconds after which it may be published. */
  readonly delay: number
  readonly ends: 'commit' | 'rollback' | 'crash'
  readonly trouble: Trouble | undefined
}

export interface Prepare {
  readonly do: 'prepare'
  readonly by: number
  readonly key: string | undefined
  readonly crash: boolean
}

export interface Finish {
  readonly do: 'finish'
  readonly half: number
  readonly ends: 'commit' | 'rollback' | 'lost-committed' | 'lost-failed'
  /** Whether the process says it again. */
  readonly twice: boolean
}

export interface Transact {
  readonly do: 'transact'
  readonly by: number
  readonly key: string | undefined
  readonly ends: 'commit' | 'rollback'
  readonly crash: CrashPoint | undefined
  /** A check comes between the preparation and the local transaction. */
  readonly checkedFirst: boolean
}

/** A round of one part of one process. */
export interface Round {
  readonly do: 'relay' | 'check' | 'retry'
  readonly service: ServiceName
  readonly by: number
  /** Milliseconds that pass before. */
  readonly wait: number
  /** Whether it renews its leases first. */
  readonly renew: boolean
  readonly fault: PublishFault | undefined
  readonly crash: Crash | undefined
}

export interface Deliver {
  readonly do: 'deliver'
  readonly service: ServiceName
  readonly by: number
  readonly start: number
  readonly count: number
  readonly crash: Crash | undefined
}

/** What can happen. Numbers that name something (a process, a half message, a dead letter) are taken modulo what there is. */
export type Command =
  | Send
  | Prepare
  | Finish
  | Transact
  | Round
  | Deliver
  | { readonly do: 'duplicate'; readonly which: number }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'freeze'; readonly service: ServiceName; readonly by: number; readonly ms: number }
  | { readonly do: 'crash' | 'stop'; readonly service: ServiceName; readonly by: number }
  | { readonly do: 'begin'; readonly service: ServiceName }
  | { readonly do: 'ignorance'; readonly kind: Ignorance }
  | { readonly do: 'replay' | 'discard'; readonly service: ServiceName; readonly which: number }
  | { readonly do: 'retry-held' | 'discard-held'; readonly service: ServiceName; readonly which: number }
  | { readonly do: 'nothing' }

/** One of these, the first ones as often as they stand there. */
const of = <const T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values)

/** Once, and so many times not. */
const rarely = <T>(times: number, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ withCrossShrink: true }, { weight: times, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary })

/** A process, a half message, or whatever else is counted. */
const some = fc.nat({ max: 7 })
const service = of<ServiceName>('order', 'stock')
const key = of<string | undefined>('a', 'a', 'b', undefined)

const fault = fc.oneof(
  fc.record({ kind: of('retryable', 'permanent', 'unknown-lost', 'unknown-stored'), index: fc.nat({ max: 5 }) }),
  fc.record({ kind: of('throw-before', 'throw-after') }),
)

const crashAt = (...points: readonly CrashPoint[]): fc.Arbitrary<Crash | undefined> =>
  rarely(4, fc.record({ point: of(...points), nth: of(1, 1, 2, 3) }))

const where: Record<Round['do'], fc.Arbitrary<ServiceName>> = {
  relay: of<ServiceName>('order', 'order', 'stock'),
  check: of<ServiceName>('order'),
  retry: of<ServiceName>('stock', 'stock', 'order'),
}

/** As long as the work of each may have to wait for. */
const waits: Record<Round['do'], fc.Arbitrary<number>> = {
  relay: of(0, 0, 200),
  check: of(0, 7000, 31_000),
  retry: of(0, 1500, 6000),
}

const round = (
  what: Round['do'],
  crash: fc.Arbitrary<Crash | undefined>,
  faults: fc.Arbitrary<PublishFault | undefined>,
): fc.Arbitrary<Round> =>
  fc.record({
    do: fc.constant(what),
    service: where[what],
    by: some,
    wait: waits[what],
    renew: of(true, true, true, true, true, false),
    fault: faults,
    crash,
  })

const nothing = fc.constant({ do: 'nothing' as const })

const send = fc.record<Send>({
  do: fc.constant('send'),
  by: some,
  count: fc.integer({ min: 1, max: 3 }),
  key,
  delay: of(0, 0, 0, 0, 3000),
  ends: of('commit', 'commit', 'commit', 'commit', 'commit', 'commit', 'commit', 'rollback', 'rollback', 'crash'),
  trouble: rarely(
    1,
    fc.record<Trouble>({
      group: of('stock', 'stock', 'audit', 'order'),
      fails: fc.nat({ max: 5 }),
      kills: of(0, 0, 0, 1, 4),
    }),
  ),
})

const prepare = fc.record<Prepare>({
  do: fc.constant('prepare'),
  by: some,
  key,
  crash: of(false, false, false, false, true),
})

const finish = fc.record<Finish>({
  do: fc.constant('finish'),
  half: some,
  ends: of('commit', 'rollback', 'lost-committed', 'lost-failed'),
  twice: fc.boolean(),
})

const transact = fc.record<Transact>({
  do: fc.constant('transact'),
  by: some,
  key,
  ends: of('commit', 'commit', 'rollback'),
  crash: rarely(3, of<CrashPoint>('half.prepared', 'half.local-committed', 'half.resolved')),
  checkedFirst: of(false, false, false, true),
})

const relay = round('relay', crashAt('relay.read', 'relay.published', 'relay.removed', 'relay.held'), rarely(3, fault))
const check = round('check', crashAt('check.answered', 'check.closed', 'check.resolved'), fc.constant(undefined))
const retry = round(
  'retry',
  crashAt('retry.begun', 'retry.handled', 'retry.committed', 'retry.failed'),
  fc.constant(undefined),
)

const deliver = fc.record<Deliver>({
  do: fc.constant('deliver'),
  service: of<ServiceName>('stock', 'stock', 'order'),
  by: some,
  start: some,
  count: fc.integer({ min: 1, max: 8 }),
  crash: crashAt(
    'consume.begun',
    'consume.handled',
    'consume.committed',
    'consume.acked',
    'consume.failed',
    'consume.recorded',
  ),
})

const command: fc.Arbitrary<Command> = fc.oneof(
  { withCrossShrink: true },
  { weight: 1, arbitrary: nothing },
  { weight: 7, arbitrary: send },
  { weight: 2, arbitrary: prepare },
  { weight: 2, arbitrary: finish },
  { weight: 2, arbitrary: transact },
  { weight: 10, arbitrary: relay },
  { weight: 3, arbitrary: check },
  { weight: 9, arbitrary: retry },
  { weight: 12, arbitrary: deliver },
  { weight: 2, arbitrary: fc.record({ do: of('duplicate'), which: fc.nat({ max: 20 }) }) },
  { weight: 5, arbitrary: fc.record({ do: of('advance'), ms: of(100, 1000, 5000, 11_000, 31_000) }) },
  { weight: 1, arbitrary: fc.record({ do: of('freeze'), service, by: some, ms: of(5000, 12_000) }) },
  { weight: 2, arbitrary: fc.record({ do: of('crash', 'crash', 'stop'), service, by: some }) },
  { weight: 4, arbitrary: fc.record({ do: of('begin'), service }) },
  { weight: 1, arbitrary: fc.record({ do: of('ignorance'), kind: of('unknown', 'odd', 'throws') }) },
  { weight: 2, arbitrary: fc.record({ do: of('replay', 'replay', 'discard'), service, which: some }) },
  { weight: 1, arbitrary: fc.record({ do: of('retry-held', 'discard-held'), service, which: some }) },
)

/**
 * A history of so many commands. What a failure does not need becomes `nothing` and is left out, so that a long history shrinks to the
 * few commands that show the same.
 */
export function histories(length: number): fc.Arbitrary<Command[]> {
  return fc
    .array(command, { minLength: length, maxLength: length })
    .map((commands) => commands.filter((one) => one.do !== 'nothing'))
}
