import { expect, test } from 'vitest'
import { Child } from '../src/harness/child.ts'

const program = new URL('./child-program.ts', import.meta.url)

/** Not `await using`, which the oldest Node cannot run. */
async function withChild<T>(parameters: unknown, work: (child: Child) => Promise<T>): Promise<T> {
  const child = new Child(program, parameters)
  try {
    return await work(child)
  } finally {
    await child[Symbol.asyncDispose]()
  }
}

test('a child gets its parameters, answers, and ends with its parent', async () => {
  await withChild({ add: 2 }, async (child) => {
    child.tell('number', 40)
    child.tell('number', 1)
    expect(await child.told('sum')).toBe(42)
    expect(await child.told('sum')).toBe(3)
    expect(await child.told('memory')).toBeGreaterThan(1)
  })
})

test('a child that ends too early is an error, not a wait for ever', async () => {
  await withChild({ exitWith: 3 }, async (child) => {
    await expect(child.told('sum')).rejects.toThrow('child-program.ts ended (exit code 3) before')
    await expect(child.told('sum')).rejects.toThrow('exit code 3')
  })
})
