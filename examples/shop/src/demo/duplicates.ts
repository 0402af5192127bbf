import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { embedded } from 'tandem/embedded'
import type { Broker, WireMessage } from 'tandem/spi'
import type { SeededRandom } from './random.ts'

/**
 * Delivers messages again, as queues do: puts copies of messages that were published before, with their ids, into the queue, past
 * the services and their outboxes.
 */
export class Duplicates {
  readonly #folder: string
  readonly #random: SeededRandom
  readonly #broker: Broker
  #log: DatabaseSync | undefined
  #delivered = 0

  constructor(folder: string, random: SeededRandom) {
    this.#folder = folder
    this.#random = random
    this.#broker = embedded(folder).broker
  }

  get delivered(): number {
    return this.#delivered
  }

  async deliver(count: number): Promise<void> {
    await this.#broker.open({ service: 'demo' })
    const copies = Array.from({ length: count }, () => this.#anyMessage()).filter((copy) => copy !== undefined)
    const outcomes = await this.#broker.publish(copies, { signal: new AbortController().signal })
    this.#delivered += outcomes.filter(({ status }) => status === 'confirmed').length
  }

  async close(): Promise<void> {
    this.#log?.close()
    await this.#broker.close(1000)
  }

  #anyMessage(): WireMessage | undefined {
    this.#log ??= new DatabaseSync(join(this.#folder, 'broker.db'), { readOnly: true })
    const head = Number(
      this.#log.prepare('SELECT coalesce(max(sequence), 0) AS head FROM broker_message').get()?.['head'],
    )
    const row = this.#log
      .prepare(
        `SELECT t.name AS topic, m.key, m.headers, m.body FROM broker_message m JOIN broker_topic t ON t.id = m.topic
         WHERE m.sequence >= ? ORDER BY m.sequence LIMIT 1`,
      )
      .get(this.#random.between(1, Math.max(1, head)))
    if (row === undefined) return undefined
    return {
      topic: String(row['topic']),
      key: row['key'] === null ? undefined : String(row['key']),
      headers: JSON.parse(String(row['headers'])) as Record<string, string>,
      body: row['body'] as Uint8Array,
    }
  }
}
