import { PartitionWindow } from '../../core/partition-window.ts'
import { shardOf } from '../../core/shards.ts'
import { messageId, type WireMessage } from '../../core/wire.ts'
import type { BrokerTrace } from '../../spi/broker.ts'

const PARTITIONS = 8

export interface LoggedMessage {
  readonly sequence: number
  readonly id: string | undefined
  readonly message: WireMessage
  readonly publishedAt: number
}

/** What one group has of one partition of one topic. */
export interface GroupPartition {
  readonly group: string
  readonly topic: string
  readonly partition: number
  readonly window: PartitionWindow<LoggedMessage>
}

interface Topic {
  readonly partitions: readonly LoggedMessage[][]
  readonly groups: Map<string, readonly GroupPartition[]>
}

/** The topics with their messages, and how far each group is. */
export class MemoryLog {
  readonly #topics = new Map<string, Topic>()
  readonly #retain: number
  #sequence = 0

  constructor(retain: number) {
    this.#retain = retain
  }

  topic(name: string): Topic {
    const found = this.#topics.get(name)
    if (found !== undefined) return found
    const topic: Topic = { partitions: Array.from({ length: PARTITIONS }, () => []), groups: new Map() }
    this.#topics.set(name, topic)
    return topic
  }

  /** A group that is new to a topic begins with the oldest message that is still there. */
  register(group: string, topicName: string): readonly GroupPartition[] {
    const topic = this.topic(topicName)
    const found = topic.groups.get(group)
    if (found !== undefined) return found
    const partitions = topic.partitions.map((messages, partition): GroupPartition => {
      const window = new PartitionWindow<LoggedMessage>(0)
      for (const logged of messages) window.add(logged.sequence, logged.message.key, logged)
      return { group, topic: topicName, partition, window }
    })
    topic.groups.set(group, partitions)
    return partitions
  }

  append(message: WireMessage, publishedAt: number): void {
    const topic = this.topic(message.topic)
    const id = messageId(message)
    const partition = shardOf(message.topic, message.key, id ?? '', PARTITIONS)
    this.#sequence += 1
    // A copy, as any other broker makes one: the sender may use its buffer again.
    const copy = { ...message, headers: Object.freeze({ ...message.headers }), body: Uint8Array.from(message.body) }
    const logged = { sequence: this.#sequence, id, message: Object.freeze(copy), publishedAt }
    topic.partitions[partition]?.push(logged)
    for (const partitions of topic.groups.values()) partitions[partition]?.window.add(logged.sequence, copy.key, logged)
  }

  /** Drops what every group of the topic has passed, but for the last few. */
  trim(topicName: string, partition: number): void {
    const topic = this.topic(topicName)
    const messages = topic.partitions[partition]
    if (messages === undefined || messages.length < this.#retain * 2) return
    const passed = Math.min(
      ...[...topic.groups.values()].map((partitions) => partitions[partition]?.window.position ?? 0),
    )
    const keep = messages.findIndex(({ sequence }) => sequence > passed)
    messages.splice(0, (keep < 0 ? messages.length : keep) - this.#retain)
  }

  find(id: string): BrokerTrace | undefined {
    for (const topic of this.#topics.values()) {
      for (const [partition, messages] of topic.partitions.entries()) {
        const logged = messages.find((one) => one.id === id)
        if (logged === undefined) continue
        const groups = [...topic.groups].map(([group, partitions]) => ({
          group,
          passed: (partitions[partition]?.window.position ?? 0) >= logged.sequence,
        }))
        return { message: logged.message, publishedAt: logged.publishedAt, groups }
      }
    }
    return undefined
  }

  /** Messages kept, in all topics. */
  get size(): number {
    let size = 0
    for (const topic of this.#topics.values()) for (const messages of topic.partitions) size += messages.length
    return size
  }
}
