import { describe, it, vi } from 'vitest'
import { register, storeConformance } from '../../src/conformance/index.ts'
import { memory } from '../../src/stores/memory/index.ts'

vi.setConfig({ testTimeout: 30_000 })

register(
  storeConformance({
    name: 'memory',
    capabilities: { concurrentTransactions: false, shards: 8 },
    siblings: false,
    make: async () => {
      const store = memory({ clock: '(SELECT now FROM test_clock)' })
      await store.open({ service: 'conformance' })
      await store.transaction(async (tx) => {
        tx.exec(`CREATE TABLE test_clock (now INTEGER); INSERT INTO test_clock VALUES (${Date.now()})`)
      })
      return {
        store,
        sibling: undefined,
        stranger: memory(),
        advance: (ms) =>
          store.transaction(async (tx) => {
            tx.prepare('UPDATE test_clock SET now = now + ?').run(ms)
          }),
        dispose: async () => undefined,
      }
    },
  }),
  { describe, it },
)
