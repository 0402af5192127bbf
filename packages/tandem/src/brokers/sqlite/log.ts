import { createHash } from 'node:crypto'
import { TandemError } from '../../core/errors.ts'
import { isUuid } from '../../core/ids.ts'
import { shardOf } from '../../core/shards.ts'
import { messageId, type WireMessage } from '../../core/wire.ts'
import type { BrokerTrace } from '../../spi/broker.ts'
import type { Driver, Row, SqlValue } from '../../spi/driver.ts'

export const PARTITIONS = 8

/** Milliseconds since the epoch, by the database's clock. */
export const NOW = `CAST(unixepoch('subsec') * 1000 AS INTEGER)`

/** The highest sequence there ever was, also when its message has been deleted. */
export const HEAD = `coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'broker_message'), 0)`

/** Rows of one INSERT. Few different numbers, so that few different statements are prepared. */
const CHUNKS = [64, 16, 4, 1] as const
/** Rows that `find` looks at in one go. */
const FIND_STEP = 5000
/** How far the sender's clock may be ahead of the database's. */
const CLOCK_SKEW = 3_600_000

/** A message as it was read; headers are parsed when it is delivered. */
export interface StoredMessage {
  readonly sequence: number
  readonly topic: number
  readonly partition: number
  readonly key: string | undefined
  readonly headers: string
  readonly body: Uint8Array
}

/** The statements on messages and topics. */
export class SqliteLog<Tx> {
  readonly #driver: Driver<Tx>
  readonly #ids = new Map<string, number>()
  readonly #names = new Map<number, string>()

  constructor(driver: Driver<Tx>) {
    this.#driver = driver
  }

  /** The number that stands for a topic: 48 bits of a hash, so that no process depends on what another has registered. */
  topicId(name: string): number {
    const known = this.#ids.get(name)
    if (known !== undefined) return known
    const id = createHash('sha256').update(name).digest().readUIntBE(0, 6)
    this.#ids.set(name, id)
    this.#names.set(id, name)
    return id
  }

  /** Writes down what the topics are called. */
  async register(topics: Iterable<string>, tx: Tx): Promise<void> {
    for (const name of topics) {
      const id = this.topicId(name)
      const { rows } = await this.#driver.query('SELECT name FROM broker_topic WHERE id = ?', [id], tx)
      const found = rows[0]?.['name']
      if (found === name) continue
      if (found !== undefined) {
        throw new TandemError(
          'NAME_INVALID',
          `sqlite broker: topics ${found as string} and ${name} have one hash; rename one`,
        )
      }
      await this.#driver.query('INSERT INTO broker_topic (id, name) VALUES (?, ?)', [id, name], tx)
    }
  }

  /** Writes the messages in array order. */
  async append(messages: readonly WireMessage[], tx: Tx): Promise<void> {
    await this.register(new Set(messages.map(({ topic }) => topic)), tx)
    let at = 0
    for (const size of CHUNKS) {
      const sql = insertOf(size)
      for (; messages.length - at >= size; at += size) {
        await this.#driver.query(
          sql,
          messages.slice(at, at + size).flatMap((message) => this.#columns(message)),
          tx,
        )
      }
    }
  }

  #columns(message: WireMessage): SqlValue[] {
    const { topic, key, headers, body } = message
    const id = messageId(message)
    const partition = shardOf(topic, key, id ?? '', PARTITIONS)
    return [this.topicId(topic), partition, id ?? null, key ?? null, JSON.stringify(headers), body]
  }

  /** Messages with `after` < sequence ≤ `upTo` of these lanes (topic × 8 + partition), in order of sequence. */
  async readTail(after: number, upTo: number, lanes: string, limit: number): Promise<readonly StoredMessage[]> {
    const { rows } = await this.#driver.query(
      `SELECT sequence, topic, partition, key, headers, body FROM broker_message
       WHERE sequence > ? AND sequence <= ? AND topic * ${PARTITIONS} + partition IN (SELECT value FROM json_each(?))
       ORDER BY sequence LIMIT ?`,
      [after, upTo, lanes, limit],
    )
    return rows.map(stored)
  }

  /** The same of one partition, by its index. */
  async readPartition(
    topic: number,
    partition: number,
    after: number,
    upTo: number,
    limit: number,
  ): Promise<readonly StoredMessage[]> {
    const { rows } = await this.#driver.query(
      `SELECT sequence, topic, partition, key, headers, body FROM broker_message
       WHERE topic = ? AND partition = ? AND sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?`,
      [topic, partition, after, upTo, limit],
    )
    return rows.map(stored)
  }

  toWire({ topic, key, headers, body }: StoredMessage): WireMessage {
    return {
      topic: this.#names.get(topic) ?? '',
      key,
      headers: JSON.parse(headers) as Record<string, string>,
      body,
    }
  }

  /** The first message with this id. Looks from the time in the id on, or at everything for an id without one. */
  async find(id: string): Promise<BrokerTrace | undefined> {
    const head = await this.head()
    const sentAt = isUuid(id) && id[14] === '7' ? Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) : 0
    for (let at = await this.#sequenceAt(sentAt - CLOCK_SKEW, head); at < head; at += FIND_STEP) {
      const { rows } = await this.#driver.query(
        `SELECT m.sequence, m.topic, m.partition, m.key, m.headers, m.body, m.published_at, t.name FROM broker_message m
         JOIN broker_topic t ON t.id = m.topic WHERE m.sequence > ? AND m.sequence <= ? AND m.id = ? LIMIT 1`,
        [at, at + FIND_STEP, id],
      )
      const row = rows[0]
      if (row === undefined) continue
      const found = stored(row)
      const groups = await this.#driver.query(
        'SELECT group_name, position >= ? AS passed FROM broker_position WHERE topic = ? AND partition = ? ORDER BY 1',
        [found.sequence, found.topic, found.partition],
      )
      return {
        message: { ...this.toWire(found), topic: row['name'] as string },
        publishedAt: row['published_at'] as number,
        groups: groups.rows.map((one) => ({ group: one['group_name'] as string, passed: one['passed'] === 1 })),
      }
    }
    return undefined
  }

  /** The highest sequence there ever was. */
  async head(): Promise<number> {
    const { rows } = await this.#driver.query(`SELECT ${HEAD} AS head`, [])
    return rows[0]?.['head'] as number
  }

  /** A sequence before which everything was published before `time`; by halving, as time ascends with the sequence. */
  async #sequenceAt(time: number, head: number): Promise<number> {
    let low = 0
    let high = head
    while (time > 0 && high - low > FIND_STEP) {
      const middle = Math.floor((low + high) / 2)
      const { rows } = await this.#driver.query(
        'SELECT published_at FROM broker_message WHERE sequence > ? ORDER BY sequence LIMIT 1',
        [middle],
      )
      if (((rows[0]?.['published_at'] as number | undefined) ?? Infinity) < time) low = middle
      else high = middle
    }
    return low
  }
}

function insertOf(size: number): string {
  const values = Array.from({ length: size }, () => `(?, ?, ${NOW}, ?, ?, ?, ?)`).join(', ')
  return `INSERT INTO broker_message (topic, partition, published_at, id, key, headers, body) VALUES ${values}`
}

function stored(row: Row): StoredMessage {
  return {
    sequence: row['sequence'] as number,
    topic: row['topic'] as number,
    partition: row['partition'] as number,
    key: (row['key'] as string | null) ?? undefined,
    headers: row['headers'] as string,
    body: row['body'] as Uint8Array,
  }
}
