import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isUuid, uuidSequence, uuidv7 } from '../../../src/core/ids.ts'
import { runs } from '../../support/properties.ts'

const millisecondOf = (id: string): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)

describe('uuidv7', () => {
  test('is a UUID of version 7 and variant 10 with the time in front', () => {
    const now = Date.now()
    const id = uuidSequence()(now)
    expect(isUuid(id)).toBe(true)
    expect(id[14]).toBe('7')
    expect(id[19]).toMatch(/[89ab]/)
    expect(millisecondOf(id)).toBe(now)
  })

  test('ascends within one millisecond', () => {
    const next = uuidSequence()
    const ids = Array.from({ length: 100_000 }, () => next(1_700_000_000_000))
    expect(ids).toEqual(ids.toSorted())
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('two sequences that start in the same millisecond do not collide', () => {
    const first = uuidSequence()
    const second = uuidSequence()
    const ids = Array.from({ length: 20_000 }, () => [first(1_700_000_000_000), second(1_700_000_000_000)]).flat()
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('goes on upwards when the clock goes back, and follows it again when it has caught up', () => {
    const next = uuidSequence()
    const before = next(2000)
    const back = next(1000)
    expect(back > before).toBe(true)
    expect(millisecondOf(back)).toBe(2000)
    expect(millisecondOf(next(2001))).toBe(2001)
  })

  test('borrows a millisecond when the counter of one is used up', () => {
    const next = uuidSequence(8)
    const ids = Array.from({ length: 100 }, () => next(5000))
    expect(ids).toEqual(ids.toSorted())
    expect(new Set(ids).size).toBe(100)
    expect(millisecondOf(ids.at(-1) ?? '')).toBeGreaterThan(5000)
    expect(ids.every(isUuid)).toBe(true)
    // The next of the clock's own time must not come before what was borrowed.
    expect(next(5001) > (ids.at(-1) ?? '')).toBe(true)
  })

  test('property: ascends whatever the clock does', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(2000), { maxLength: 300 }), fc.constantFrom(4, 64, 2 ** 26), (clock, limit) => {
        const next = uuidSequence(limit)
        const ids = clock.map((now) => next(now))
        expect(ids).toEqual(ids.toSorted())
        expect(new Set(ids).size).toBe(ids.length)
      }),
      runs(200),
    )
  })

  test('without an argument it follows the system clock', () => {
    expect(Math.abs(millisecondOf(uuidv7()) - Date.now())).toBeLessThan(60_000)
  })
})

describe('isUuid', () => {
  test.each([
    ['0190a5c2-7b4e-7c3d-8f21-0123456789ab', true],
    ['0190A5C2-7B4E-7C3D-8F21-0123456789AB', false],
    ['0190a5c27b4e7c3d8f210123456789ab', false],
    ['0190a5c2-7b4e-7c3d-8f21-0123456789ab\n', false],
    ['', false],
  ])('%j: %s', (text, is) => {
    expect(isUuid(text)).toBe(is)
  })
})
