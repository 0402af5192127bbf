import assert from 'node:assert/strict'
import { uuidv7 } from '../core/ids.ts'
import type { Fence, ProcessInfo } from '../spi/store.ts'
import type { ConformanceCase } from './case.ts'
import { storeCases, type StoreConformanceOptions } from './store-kit.ts'

const NAMES = ['work/0', 'work/1', 'work/2', 'work/3']

const process = (pid: number): ProcessInfo => ({ id: uuidv7(), host: 'conformance', pid })
const names = (fences: readonly Fence[]): string[] => fences.map(({ name }) => name).toSorted()

/** Who may do which work, and for how long. */
export function leaseCases<Tx>(options: StoreConformanceOptions<Tx>): ConformanceCase[] {
  const it = storeCases(options, 'leases')
  return [
    it('a process that is alone gets everything, and keeps it with the same tokens', async ({ store }) => {
      const one = process(1)
      const first = await store.leases.exchange(one, [NAMES, ['single']], 1000)
      assert.deepEqual(names(first), ['single', ...NAMES])
      assert.deepEqual(await store.leases.exchange(one, [NAMES, ['single']], 1000), first)
    }),

    it('a second process gets its share once the first has given up what is beyond its own', async (bench) => {
      const { store, other } = bench
      const [one, two] = [process(1), process(2)]
      await store.leases.exchange(one, [NAMES], 1000)
      assert.deepEqual(await other.leases.exchange(two, [NAMES], 1000), [], 'nothing is free')
      assert.equal((await store.leases.exchange(one, [NAMES], 1000)).length, 2)
      assert.equal((await other.leases.exchange(two, [NAMES], 1000)).length, 2)
    }),

    it('two processes at the same moment never hold the same name', async ({ store, other }) => {
      const [one, two] = [process(1), process(2)]
      for (let round = 0; round < 5; round++) {
        const [a, b] = await Promise.all([
          store.leases.exchange(one, [NAMES], 1000),
          other.leases.exchange(two, [NAMES], 1000),
        ])
        const both = names([...a, ...b])
        assert.equal(new Set(both).size, both.length, `both hold one of ${both.join(', ')}`)
      }
      const a = await store.leases.exchange(one, [NAMES], 1000)
      const b = await other.leases.exchange(two, [NAMES], 1000)
      assert.deepEqual(names([...a, ...b]), NAMES)
    }),

    it('what a dead process held is free after its time, with a later token', async ({ store, other, advance }) => {
      const [before] = await store.leases.exchange(process(1), [['single']], 1000)
      const two = process(2)
      assert.deepEqual(await other.leases.exchange(two, [['single']], 1000), [])
      await advance(1001)
      const [after] = await other.leases.exchange(two, [['single']], 1000)
      assert.ok(before && after && after.token > before.token)
    }),

    it('what is renewed in time stays where it is', async ({ store, other, advance }) => {
      const one = process(1)
      const [before] = await store.leases.exchange(one, [['single']], 1000)
      for (let round = 0; round < 5; round++) {
        await advance(600)
        assert.deepEqual(await store.leases.exchange(one, [['single']], 1000), [before])
        assert.deepEqual(await other.leases.exchange(process(2), [['single']], 100), [])
      }
    }),

    it('a process that slept through its lease gets it back only with a later token', async ({ store, advance }) => {
      const one = process(1)
      const [before] = await store.leases.exchange(one, [['single']], 1000)
      await advance(1001)
      const [after] = await store.leases.exchange(one, [['single']], 1000)
      assert.ok(before && after && after.token > before.token)
    }),

    it('a dead process does not count as one that wants a share', async ({ store, other, advance }) => {
      await other.leases.exchange(process(2), [NAMES], 1000)
      await advance(1001)
      assert.equal((await store.leases.exchange(process(1), [NAMES], 1000)).length, NAMES.length)
    }),

    it('a process that wants other names does not count, either', async ({ store, other }) => {
      await other.leases.exchange(process(2), [['else']], 1000)
      assert.equal((await store.leases.exchange(process(1), [NAMES], 1000)).length, NAMES.length)
    }),

    it('what a process wants no more is free for others', async ({ store, other }) => {
      const one = process(1)
      await store.leases.exchange(one, [NAMES, ['single']], 1000)
      assert.deepEqual(names(await store.leases.exchange(one, [NAMES], 1000)), NAMES)
      assert.deepEqual(names(await other.leases.exchange(process(2), [['single']], 1000)), ['single'])
    }),

    it('a process that is gone is shown for a while, and forgotten in the end', async ({ store, advance }) => {
      const [one, two] = [process(1), process(2)]
      await store.leases.exchange(one, [NAMES], 1000)
      await advance(2000)
      await store.leases.exchange(two, [NAMES], 1000)
      const [, gone] = (await store.admin.overview()).processes
      assert.deepEqual([gone?.id, gone?.alive, gone?.leases], [one.id, false, []])
      await advance(86_400_000)
      await store.leases.exchange(two, [NAMES], 1000)
      assert.deepEqual(
        (await store.admin.overview()).processes.map(({ id }) => id),
        [two.id],
      )
    }),

    it('release frees everything at once and forgets the process', async ({ store, other }) => {
      const [one, two] = [process(1), process(2)]
      const before = await store.leases.exchange(one, [NAMES], 100_000)
      await store.leases.release(one)
      const after = await other.leases.exchange(two, [NAMES], 1000)
      assert.deepEqual(names(after), NAMES)
      for (const [i, fence] of after.entries()) assert.ok(fence.token > (before[i]?.token ?? Infinity))
      const { processes } = await store.admin.overview()
      assert.deepEqual(
        processes.map(({ id }) => id),
        [two.id],
      )
    }),
  ]
}
