import { describe, expect, test } from 'vitest'
import { textParser } from '../../../src/drivers/postgres-types.ts'

const BYTEA = 17

describe('bytes as text', () => {
  const parse = textParser(BYTEA)

  test.each([
    ['', []],
    [String.raw`\x00ff5c`, [0, 255, 92]],
    [String.raw`\000a\\\377\\134`, [0, 97, 92, 255, 92, 49, 51, 52]],
    ['plain', [...Buffer.from('plain')]],
  ])('%j', (value, bytes) => {
    expect([...(parse(value) as Buffer)]).toEqual(bytes)
  })
})
