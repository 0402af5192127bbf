import assert from 'node:assert/strict'
import type { ConformanceCase } from './case.ts'
import { rejectsWith } from './driver-kit.ts'
import { storeCases, type StoreConformanceOptions, type StoreFixture } from './store-kit.ts'

/** The tables themselves, and what a store says of itself and of transactions. */
export function schemaCases<Tx>(options: StoreConformanceOptions<Tx>): ConformanceCase[] {
  const it = storeCases(options, 'schema and transactions')
  const fresh = (name: string, body: (fixture: StoreFixture<Tx>) => Promise<void>): ConformanceCase => ({
    area: `${options.name}: schema and transactions`,
    name,
    run: async () => {
      const fixture = await options.make()
      const { store, sibling, stranger } = fixture
      try {
        await body(fixture)
      } finally {
        for (const one of [store, stranger, sibling]) await one?.close()
        await fixture.dispose()
      }
    },
  })
  return [
    it('says what it can', async ({ store }) => {
      assert.deepEqual(store.capabilities, options.capabilities)
      assert.notEqual(store.name, '')
    }),

    fresh('a database without tables is refused with what to do, and can be migrated then', async ({ store }) => {
      const opened = await store.open({ service: 'conformance' }).then(
        () => true,
        (error: unknown) => {
          assert.match(String(error), /tandem migrate/)
          return false
        },
      )
      const before = await store.schema.status()
      assert.equal(before.pending.length > 0, !opened)
      if (!opened) assert.equal(before.version, 0)
      const applied = await store.schema.migrate()
      assert.deepEqual(applied, before.pending)
      await store.open({ service: 'conformance' })
      const { version, latest, pending, drift } = await store.schema.status()
      assert.deepEqual({ version, pending, drift }, { version: latest, pending: [], drift: [] })
      assert.deepEqual(await store.schema.migrate(), [], 'nothing is applied twice')
    }),

    fresh('is migrated to the version that was asked for, forward only', async ({ store }) => {
      await store.open({ service: 'conformance' }).catch(() => undefined)
      const { latest, version } = await store.schema.status()
      for (const to of [latest + 1, 0, 0.5]) {
        await rejectsWith(store.schema.migrate({ to }), 'CONFIG_INVALID')
        assert.equal((await store.schema.status()).version, version, 'a refused migration changes nothing')
      }
      await store.schema.migrate({ to: latest })
      assert.equal((await store.schema.status()).version, latest)
      assert.deepEqual(await store.schema.migrate({ to: latest }), [], 'nothing is applied twice')
      await rejectsWith(store.schema.migrate({ to: latest - 1 }), 'CONFIG_INVALID')
    }),

    ...(options.siblings
      ? [
          fresh('of several that migrate at the same moment one applies each migration', async (fixture) => {
            const stores = [fixture.store, fixture.sibling!]
            for (const store of stores) await store.open({ service: 'conformance' }).catch(() => undefined)
            const { pending } = await fixture.store.schema.status()
            const applied = await Promise.all([...stores, ...stores].map((store) => store.schema.migrate()))
            assert.deepEqual(applied.flat(), pending)
            for (const store of stores) await store.open({ service: 'conformance' })
          }),
        ]
      : []),

    it('opening again changes nothing', async ({ store }) => {
      await Promise.all([store.open({ service: 'conformance' }), store.open({ service: 'conformance' })])
    }),

    it('knows its open transactions from all else', async ({ store, stranger }) => {
      let ended: Tx | undefined
      await store.transaction(async (tx) => {
        store.checkTransaction(tx)
        ended = tx
      })
      await rejectsWith(check(store, ended), 'TRANSACTION_ENDED')
      for (const other of [undefined, null, {}, 'tx', store]) {
        await rejectsWith(check(store, other), 'TRANSACTION_INVALID')
      }
      await stranger.transaction(async (tx) => {
        await rejectsWith(check(store, tx), 'TRANSACTION_INVALID')
      })
    }),
  ]
}

async function check<Tx>(store: { checkTransaction(candidate: unknown): void }, candidate: Tx): Promise<void> {
  store.checkTransaction(candidate)
}
