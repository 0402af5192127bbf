// The command as a process of its own.
import { text as readAll } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { dead, id } from '../../../tandem/test/unit/admin/world.ts'
import { cliWorld, endOf, spawned, start, type CliWorld } from './harness.ts'

let world: CliWorld
beforeEach(async () => {
  world = await cliWorld()
})
afterEach(() => world.close())

test('prints its answer and nothing else', async () => {
  await dead(world.stock, 'stock', { id: id(1) })
  const { code, stdout, stderr } = await spawned(world, 'dead-letters', 'list', '--json')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(JSON.parse(stdout)).toMatchObject({ items: [{ id: id(1) }], next: null })
})

test('ends with its exit code, and without waiting for what a configuration leaves open', async () => {
  expect(await spawned(world, 'trace', id(9))).toMatchObject({ code: 1, stdout: '' })
  expect(await spawned(world, 'trace')).toMatchObject({ code: 2, stdout: '' })
})

interface Report {
  readonly stopped: { readonly code: string } | null
  readonly results: readonly { readonly id: string; readonly outcome: string }[]
}

test('two processes that replay the same dead letters at once replay each of them once', async () => {
  const ids = Array.from({ length: 40 }, (_, n) => id(n + 1))
  for (const each of ids) await dead(world.stock, 'stock', { id: each })
  const args = ['dead-letters', 'replay', ...ids, '--json']
  const both = await Promise.all([spawned(world, ...args), spawned(world, ...args)])
  expect(both.map(({ stderr }) => stderr)).toEqual(['', ''])
  const results = both.flatMap(({ stdout }) => (JSON.parse(stdout) as Report).results)
  expect(results).toHaveLength(80)
  const replayed = results.filter(({ outcome }) => outcome === 'replayed').map((result) => result.id)
  expect(replayed.toSorted()).toEqual(ids)
  expect(results.filter(({ outcome }) => outcome === 'not-dead')).toHaveLength(40)
  // Who found all of them replayed by the other has done all the same what it could; who missed one says so.
  for (const { code, stdout } of both) expect(code).toBe(stdout.includes('not-dead') ? 1 : 0)
  expect((await world.admin.audit({}, { limit: 1000 })).items).toHaveLength(40)
})

test('an interrupt ends a replay before its next message, and what was done is told', async () => {
  for (const n of [1, 2]) await dead(world.stock, 'stock', { id: id(n) })
  const child = start(world, ['dead-letters', 'replay', id(1), id(2), '--rate', '0.001', '--json'])
  const ended = endOf(child)
  const stdout = readAll(child.stdout!)
  await vi.waitFor(async () => expect(await world.stock.inbox.state('stock', id(1))).toBe('retrying'), 10_000)
  child.kill('SIGINT')
  expect(await ended).toBe(1)
  const { results, stopped } = JSON.parse(await stdout) as Report
  expect(results.map(({ outcome }) => outcome)).toEqual(['replayed', 'not-tried'])
  expect(stopped?.code).toBe('ABORTED')
})

test('a reader that goes away, as head does, is no error', async () => {
  // More than a pipe holds.
  for (let n = 1; n <= 300; n++)
    await dead(world.stock, 'stock', { id: id(n) }, { error: `Error: ${'x'.repeat(2000)}` })
  const child = start(world, ['dead-letters', 'list', '--limit', '1000'])
  const ended = endOf(child)
  let stderr = ''
  child.stderr!.on('data', (chunk: Buffer) => void (stderr += chunk.toString()))
  child.stdout!.once('data', () => child.stdout!.destroy())
  expect(await ended).toBe(0)
  expect(stderr).toBe('')
})
