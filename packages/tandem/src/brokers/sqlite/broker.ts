import { loopBackoff } from '../../core/backoff.ts'
import { systemClock } from '../../core/clock.ts'
import { errorText, TandemError } from '../../core/errors.ts'
import { checkNumber, checkOptions } from '../../core/limits.ts'
import type { WireMessage } from '../../core/wire.ts'
import type {
  Broker,
  BrokerCapabilities,
  BrokerTrace,
  Consumption,
  Delivery,
  PublishOutcome,
  Subscription,
  Topology,
} from '../../spi/broker.ts'
import type { Driver, OpenContext } from '../../spi/driver.ts'
import { bellOf, type Bell } from './bell.ts'
import { SqliteConsumer, type ConsumerSettings } from './consumer.ts'
import { SqliteLog } from './log.ts'
import { Positions } from './positions.ts'
import { expireMessages } from './retention.ts'
import { migrate } from './schema.ts'

export interface SqliteBrokerOptions {
  /** Milliseconds after which what a dead process held is delivered to others. Renewed every third. Default 10,000. */
  readonly lease?: number
  /**
   * Milliseconds between looks at the database. Default 100. It is ten times as long where the file next to the database (its name and
   * `-bell`) tells of what is new, within a millisecond: on every system whose files can be watched.
   */
  readonly pollInterval?: number
  /** Largest body. Default 4,194,304. */
  readonly maxBodyBytes?: number
  /** Messages that every group has passed are deleted after this many milliseconds. Default 7 days. */
  readonly retention?: number
}

const OPTIONS = ['lease', 'pollInterval', 'maxBodyBytes', 'retention']
const WEEK = 7 * 24 * 3_600_000
const RETENTION_EVERY = 60_000

interface Settings extends ConsumerSettings {
  readonly retention: number
}

/**
 * A queue in a SQLite file: topics of 8 partitions, consumer groups, positions. One file for the processes of all services; the driver
 * is this broker's own (`close` closes it).
 *
 * `attempt` comes from a counter per partition that grows when a member dies and is set back when the group moves on: a message that
 * was never delivered may come with an attempt above 1 if it stood behind one that was.
 *
 * @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN`
 */
export function sqlite<Tx>(driver: Driver<Tx>, options: SqliteBrokerOptions = {}): Broker {
  checkOptions('sqlite broker', options, OPTIONS)
  if (driver?.dialect !== 'sqlite') {
    throw new TandemError('CONFIG_INVALID', 'sqlite broker: pass a driver of SQLite, for example nodeSqlite(file)')
  }
  const number = (name: keyof SqliteBrokerOptions, min: number, fallback: number): number =>
    checkNumber(`sqlite broker: ${name}`, options[name], { min, integer: true, default: fallback })
  return new SqliteBroker(driver, number('maxBodyBytes', 1, 4_194_304), {
    lease: number('lease', 100, 10_000),
    pollInterval: number('pollInterval', 1, 100),
    retention: number('retention', 0, WEEK),
  })
}

class SqliteBroker<Tx> implements Broker {
  readonly name = 'sqlite'
  readonly capabilities: BrokerCapabilities
  readonly #driver: Driver<Tx>
  readonly #settings: Settings
  readonly #log: SqliteLog<Tx>
  readonly #positions: Positions<Tx>
  readonly #consumers = new Set<SqliteConsumer<Tx>>()
  readonly #closed = new AbortController()
  #opening: Promise<Bell> | undefined
  #bell: Bell | undefined
  #chores: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor(driver: Driver<Tx>, maxBodyBytes: number, settings: Settings) {
    this.#driver = driver
    this.#settings = settings
    this.#log = new SqliteLog(driver)
    this.#positions = new Positions(driver)
    this.capabilities = {
      durable: true,
      countsDeliveries: true,
      stopsKeyOnFailure: true,
      replaysToNewGroups: true,
      maxBodyBytes,
    }
  }

  async open(context: OpenContext): Promise<void> {
    if (this.#closing !== undefined) throw lifecycle('open() after close()')
    this.#opening ??= this.#open(context)
    try {
      this.#bell = await this.#opening
    } catch (error) {
      this.#opening = undefined
      throw unavailable('opening it', error)
    }
  }

  async #open(context: OpenContext): Promise<Bell> {
    await this.#driver.open(context)
    await migrate(this.#driver)
    const { rows } = await this.#driver.query('PRAGMA database_list', [])
    const file = rows.find((row) => row['name'] === 'main')?.['file']
    return bellOf(typeof file === 'string' && file !== '' ? file : undefined, this.#driver)
  }

  async ensure(topology: Topology): Promise<void> {
    this.#checkOpen('ensure')
    const groups = topology.groups.map(({ group, topics }) => ({ group, topics: [...new Set(topics)] }))
    const topics = new Set([...topology.topics, ...groups.flatMap((one) => one.topics)])
    try {
      await this.#driver.transaction(async (tx) => {
        await this.#log.register(topics, tx)
        for (const one of groups) {
          await this.#positions.register(
            one.group,
            one.topics.map((topic) => this.#log.topicId(topic)),
            tx,
          )
        }
      })
    } catch (error) {
      throw await this.#failed('making topics and groups', error)
    }
  }

  async publish(
    messages: readonly WireMessage[],
    options: { readonly signal: AbortSignal },
  ): Promise<readonly PublishOutcome[]> {
    const bell = this.#checkOpen('publish')
    const { outcomes, accepted } = this.#judge(messages)
    if (accepted.length === 0) return outcomes
    try {
      await this.#driver.transaction(async (tx) => {
        options.signal.throwIfAborted()
        await this.#log.append(accepted, tx)
      })
    } catch (error) {
      throw await this.#failed(`publishing ${accepted.length} messages`, error)
    }
    bell.ring()
    return outcomes
  }

  /** All that is accepted commits together, so its outcomes are known before. */
  #judge(messages: readonly WireMessage[]): { outcomes: PublishOutcome[]; accepted: WireMessage[] } {
    const refused = new Set<string>()
    const accepted: WireMessage[] = []
    const outcomes = messages.map((message): PublishOutcome => {
      const key = message.key === undefined ? undefined : `${message.topic}\n${message.key}`
      if (key !== undefined && refused.has(key)) return { status: 'retryable', error: heldBack(message) }
      const { maxBodyBytes } = this.capabilities
      if (message.body.byteLength > maxBodyBytes) {
        if (key !== undefined) refused.add(key)
        return { status: 'permanent', error: tooLarge(message, maxBodyBytes) }
      }
      accepted.push(message)
      return { status: 'confirmed' }
    })
    return { outcomes, accepted }
  }

  async consume(subscription: Subscription, deliver: (delivery: Delivery) => void): Promise<Consumption> {
    const bell = this.#checkOpen('consume')
    const { group, topics } = subscription
    const ensure = (): Promise<void> => this.ensure({ topics: [], groups: [{ group, topics }] })
    await ensure()
    this.#checkOpen('consume')
    const parts = { log: this.#log, positions: this.#positions, bell, ensure }
    const consumer = new SqliteConsumer(parts, this.#settings, subscription, deliver)
    this.#consumers.add(consumer)
    this.#chores ??= this.#doChores()
    return {
      pause: () => consumer.pause(),
      resume: () => consumer.resume(),
      stop: (deadline) => consumer.stop(deadline).finally(() => this.#consumers.delete(consumer)),
    }
  }

  /** Whoever consumes also clears away, a little later than it starts. */
  async #doChores(): Promise<void> {
    const { signal } = this.#closed
    let failures = 0
    while (!signal.aborted) {
      await systemClock.sleep(
        failures === 0 ? RETENTION_EVERY * (0.9 + 0.2 * Math.random()) : loopBackoff(failures, Math.random),
        signal,
      )
      if (signal.aborted) return
      failures = await expireMessages(this.#driver, this.#settings.retention, signal).then(
        () => 0,
        () => failures + 1,
      )
    }
  }

  async find(id: string): Promise<BrokerTrace | undefined> {
    this.#checkOpen('find')
    try {
      return await this.#log.find(id)
    } catch (error) {
      throw await this.#failed(`looking for message ${id}`, error)
    }
  }

  async health(): Promise<{ readonly ok: boolean; readonly detail: string }> {
    try {
      this.#checkOpen('health')
      const head = await this.#log.head()
      const failing = [...this.#consumers].find(({ lastError }) => lastError !== undefined)
      if (failing !== undefined) return { ok: false, detail: `consuming fails: ${errorText(failing.lastError)}` }
      return { ok: true, detail: `${head} messages published so far` }
    } catch (error) {
      return { ok: false, detail: errorText(error) }
    }
  }

  close(deadline: number): Promise<void> {
    this.#closing ??= this.#close(deadline)
    return this.#closing
  }

  async #close(deadline: number): Promise<void> {
    this.#closed.abort()
    const late = new AbortController()
    const stopped = Promise.all([...this.#consumers].map((consumer) => consumer.stop(deadline)))
    await Promise.race([Promise.all([stopped, this.#chores]), systemClock.sleep(deadline, late.signal)])
    late.abort()
    this.#consumers.clear()
    if (this.#opening !== undefined) await this.#driver.close()
  }

  /** A file that was deleted or replaced under way gets its tables again, for the next try. */
  async #failed(doing: string, error: unknown): Promise<unknown> {
    if (errorText(error).includes('no such table')) await migrate(this.#driver).catch(() => undefined)
    return unavailable(doing, error)
  }

  #checkOpen(what: string): Bell {
    if (this.#closing !== undefined) throw lifecycle(`${what}() after close()`)
    if (this.#bell === undefined) throw lifecycle(`${what}() before open()`)
    return this.#bell
  }
}

function lifecycle(what: string): TandemError {
  return new TandemError('LIFECYCLE', `sqlite broker: ${what}`)
}

function unavailable(doing: string, error: unknown): unknown {
  if (error instanceof TandemError && !error.code.startsWith('STORE_')) return error
  return new TandemError('BROKER_UNAVAILABLE', `sqlite broker: ${doing} failed: ${errorText(error)}`, { cause: error })
}

function tooLarge(message: WireMessage, maxBodyBytes: number): TandemError {
  return new TandemError(
    'MESSAGE_TOO_LARGE',
    `a message to topic ${message.topic} has a body of ${message.body.byteLength} bytes; the sqlite broker takes at most ${maxBodyBytes}`,
  )
}

function heldBack(message: WireMessage): TandemError {
  return new TandemError(
    'BROKER_REFUSED',
    `a message to topic ${message.topic} was kept back because an earlier one of its key was refused`,
    { retryable: true },
  )
}
