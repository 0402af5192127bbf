import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { CRASH_POINTS } from '../../src/core/crash-points.ts'

const document = readFileSync(new URL('../../../../docs/internals/crash-tables.md', import.meta.url), 'utf8')

/** The second cell of each row that has a crash point in it. */
function pointsOf(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const cell = line.startsWith('|') ? line.split('|')[2]?.trim() : undefined
    const point = /^`([a-z]+\.[a-z-]+)`$/.exec(cell ?? '')?.[1]
    return point === undefined ? [] : [point]
  })
}

test('the crash tables name every crash point, and no other', () => {
  expect(pointsOf(document).toSorted()).toEqual([...CRASH_POINTS].toSorted())
})

test('every point that the text mentions exists', () => {
  const mentioned = [...document.matchAll(/`((?:send|relay|half|check|consume|retry|replay)\.[a-z-]+)`/g)]
  const files = mentioned.filter(([, name]) => !name?.endsWith('.test')).map(([, name]) => name)
  expect(files.filter((name) => !(CRASH_POINTS as readonly string[]).includes(name ?? ''))).toEqual([])
})

test('every test file that the tables name is there, and every number is the start of a title in it', () => {
  const cited = [...document.matchAll(/`([a-z-]+\.test\.ts)`(?: ([\d, ]+))?/g)]
  expect(cited.length).toBeGreaterThan(10)
  for (const [, file = '', numbers = ''] of cited) {
    const path = new URL(`../faults/${file}`, import.meta.url)
    expect(existsSync(path), file).toBe(true)
    const text = readFileSync(path, 'utf8')
    for (const [number] of numbers.matchAll(/\d+/g))
      expect(text, `${file} ${number}`).toMatch(new RegExp(`['"\`]${number}\\. `))
  }
})
