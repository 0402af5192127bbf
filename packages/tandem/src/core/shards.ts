/**
 * Which of `count` shards (or partitions) a message belongs to. Messages of one topic and key always share one; a message without a
 * key goes by its id. FNV-1a, 32 bits.
 */
export function shardOf(topic: string, key: string | undefined, id: string, count: number): number {
  return hash(key === undefined ? id : `${topic}\n${key}`) % count
}

function hash(text: string): number {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i++) {
    value ^= text.charCodeAt(i)
    value = Math.imul(value, 0x01000193)
  }
  return value >>> 0
}
