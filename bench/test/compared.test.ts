import { expect, test } from 'vitest'
import { compared } from '../src/harness/compared.ts'

/** A run that gives these rates in turn, and says when it had its turn. */
function run(name: string, turns: string[], rates: readonly number[]): () => Promise<number> {
  let next = 0
  return () => {
    turns.push(name)
    return Promise.resolve(rates[next++] ?? Number.NaN)
  }
}

test('each has its turn in every round, in alternating order, and the first round does not count', async () => {
  const turns: string[] = []
  const { rate, ratio } = await compared(3, {
    a: run('a', turns, [999, 10, 20, 30]),
    b: run('b', turns, [1, 20, 10, 90]),
    c: run('c', turns, [1, 1, 1, 1]),
  })
  expect(turns.join('')).toBe('abccbaabccba')
  expect([rate('a'), rate('b'), rate('c')]).toEqual([20, 20, 1])
  // 2, 0.5 and 3: of the pairs, not of the medians.
  expect(ratio('b', 'a')).toBe(2)
})

test('when time has run out, three rounds are enough', async () => {
  const turns: string[] = []
  let now = 0
  const slow = (): Promise<number> => {
    turns.push('a')
    now += 60_000
    return Promise.resolve(1)
  }
  await compared(9, { a: slow }, () => now)
  expect(turns).toHaveLength(4)
})
