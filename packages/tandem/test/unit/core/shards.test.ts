import fc from 'fast-check'
import { expect, test } from 'vitest'
import { uuidv7 } from '../../../src/core/ids.ts'
import { shardOf } from '../../../src/core/shards.ts'
import { runs } from '../../support/properties.ts'

test('stays what it is: rows that are on disk carry their number', () => {
  // Published values of FNV-1a, 32 bits. Another hash would send the messages of a key to two relays.
  expect(shardOf('topic', undefined, '', 2 ** 32)).toBe(0x811c9dc5)
  expect(shardOf('topic', undefined, 'a', 2 ** 32)).toBe(0xe40c292c)
  expect(shardOf('topic', undefined, 'foobar', 2 ** 32)).toBe(0xbf9cf968)
  expect(shardOf('foo', 'bar', '', 2 ** 32)).toBe(shardOf('', undefined, 'foo\nbar', 2 ** 32))
})

test('property: within the range, and of topic and key alone where there is a key', () => {
  const text = fc.string({ unit: 'grapheme' })
  fc.assert(
    fc.property(
      text,
      fc.option(text, { nil: undefined }),
      text,
      text,
      fc.integer({ min: 1, max: 1000 }),
      (...given) => {
        const [topic, key, id, other, count] = given
        const shard = shardOf(topic, key, id, count)
        expect(Number.isInteger(shard) && shard >= 0 && shard < count).toBe(true)
        expect(shardOf(topic, key, key === undefined ? id : other, count)).toBe(shard)
      },
    ),
    runs(500),
  )
})

/** How far the fullest and the emptiest of 8 shards are from an even share. */
function spread(shardsOf: (i: number) => number): { readonly least: number; readonly most: number } {
  const total = 40_000
  const counts = Array<number>(8).fill(0)
  for (let i = 0; i < total; i++) counts[shardsOf(i)]! += 1
  return { least: (Math.min(...counts) * 8) / total, most: (Math.max(...counts) * 8) / total }
}

test.each<[string, (i: number) => number]>([
  ['keys that are numbers', (i) => shardOf('orders.placed', `${i}`, '', 8)],
  ['keys with a common beginning', (i) => shardOf('orders.placed', `order-${100_000 + i}`, '', 8)],
  ['keys that are UUIDs', () => shardOf('orders.placed', uuidv7(), '', 8)],
  ['ids of messages without a key', () => shardOf('orders.placed', undefined, uuidv7(), 8)],
])('%s are spread evenly', (_name, shardsOf) => {
  const { least, most } = spread(shardsOf)
  expect(least).toBeGreaterThan(0.9)
  expect(most).toBeLessThan(1.1)
})
