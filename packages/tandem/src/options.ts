import { systemClock, type Clock, type Random } from './core/clock.ts'
import { TandemError } from './core/errors.ts'
import { DEFAULT_CHECK_SCHEDULE, type CheckSchedule } from './core/half-state.ts'
import { checkName, checkNumber, checkOptions, DEFAULT_LIMITS, type Limits } from './core/limits.ts'
import type { Retention } from './engine/reaper.ts'
import type { RelaySettings } from './engine/relay.ts'
import type { Broker } from './spi/broker.ts'
import type { Store } from './spi/store.ts'
import type { Log } from './telemetry/log.ts'

export interface TandemOptions<Tx> {
  /** The service's name: CloudEvents `source`, default consumer group, and the name of its file where the store makes one. */
  readonly service: string
  readonly store: Store<Tx>
  readonly broker: Broker
  /** What a message may be at most. */
  readonly limits?: Partial<Limits>
  readonly relay?: Partial<RelaySettings>
  /** When and how often half messages are checked, under RocketMQ's names and with its defaults. */
  readonly check?: Partial<CheckSchedule>
  readonly retention?: Partial<Retention>
  /** Milliseconds for which work rests after a process dies. Default 10,000. */
  readonly lease?: number
  /** Where lines for people go. Default: the console's `warn` and `error`; false: nowhere. */
  readonly log?: Log | false
  /** For tests. */
  readonly clock?: Clock
  /** For tests. */
  readonly random?: Random
}

export interface SettledOptions {
  readonly limits: Limits
  readonly relay: RelaySettings
  readonly check: CheckSchedule
  readonly retention: Retention
  readonly lease: number
  readonly log: Log | undefined
  readonly clock: Clock
  readonly random: Random
}

const DEFAULT_RELAY: RelaySettings = { batchSize: 500, pollInterval: 100, giveUpAfter: 3_600_000 }
const DAY = 86_400_000
const DEFAULT_RETENTION: Retention = { inbox: 7 * DAY, half: 7 * DAY }
const OPTIONS = [
  'service',
  'store',
  'broker',
  'limits',
  'relay',
  'check',
  'retention',
  'lease',
  'log',
  'clock',
  'random',
] as const

/** Checks everything that `createTandem` takes and fills in the defaults. */
export function settleOptions<Tx>(options: TandemOptions<Tx>): SettledOptions {
  checkOptions('createTandem', options ?? null, OPTIONS)
  checkName('service', options.service)
  if (typeof options.store?.transaction !== 'function') {
    throw new TandemError('CONFIG_INVALID', 'createTandem: store must be a store, for example sqlite(nodeSqlite(file))')
  }
  if (typeof options.broker?.publish !== 'function') {
    throw new TandemError('CONFIG_INVALID', 'createTandem: broker must be a broker adapter, for example memory()')
  }
  const { log = console, clock = systemClock, random = Math.random } = options
  if (log !== false && (typeof log?.warn !== 'function' || typeof log.error !== 'function')) {
    throw new TandemError('CONFIG_INVALID', 'createTandem: log must have warn() and error(), or be false')
  }
  const { now, monotonic, sleep } = clock ?? {}
  if (![now, monotonic, sleep].every((method) => typeof method === 'function')) {
    throw new TandemError('CONFIG_INVALID', 'createTandem: clock must have now(), monotonic() and sleep()')
  }
  if (typeof random !== 'function') throw new TandemError('CONFIG_INVALID', 'createTandem: random must be a function')
  return {
    limits: numbers('limits', options.limits, DEFAULT_LIMITS, { payloadDepth: 1000 }),
    relay: numbers('relay', options.relay, DEFAULT_RELAY),
    check: numbers('check', options.check, DEFAULT_CHECK_SCHEDULE),
    retention: numbers('retention', options.retention, DEFAULT_RETENTION),
    lease: checkNumber('createTandem: lease', options.lease, {
      min: 100,
      max: 3_600_000,
      integer: true,
      default: 10_000,
    }),
    log: log === false ? undefined : log,
    clock,
    random,
  }
}

/** An instant that is as far away must still fit into the database; 31 years in milliseconds. */
const MOST = 1e12

/** Whole numbers from 1, each with its default. */
function numbers<T extends { readonly [Name in keyof T]: number }>(
  section: string,
  given: Partial<T> | undefined,
  defaults: T,
  most: { readonly [Name in keyof T]?: number } = {},
): T {
  checkOptions(`createTandem: ${section}`, given, Object.keys(defaults))
  const settled = Object.entries<number>(defaults).map(([name, fallback]) => {
    const value = given?.[name as keyof T]
    const max = most[name as keyof T] ?? MOST
    const rule = { min: 1, max, integer: true, default: fallback }
    return [name, checkNumber(`createTandem: ${section}.${name}`, value, rule)]
  })
  return Object.fromEntries(settled) as T
}
