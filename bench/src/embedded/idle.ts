import { Child } from '../harness/child.ts'
import type { Bench } from '../harness/suite.ts'
import type { IdleParameters } from './programs/idle-service.ts'

export const idle: Bench = {
  name: 'idle',
  title: 'a service that is started, with a consumer, and has nothing to do for ten seconds',
  run: async ({ folder, slice }) => {
    const parameters: IdleParameters = { folder, settleMs: slice ? 200 : 2000, idleMs: slice ? 1000 : 10_000 }
    const service = new Child(new URL('programs/idle-service.ts', import.meta.url), parameters)
    try {
      const { cpu, memory } = await service.told<{ cpu: number; memory: number }>('idle')
      return [
        { name: 'CPU, of one core', value: cpu, unit: '%', reach: { below: 1 } },
        { name: 'resident memory', value: memory, unit: 'MiB' },
      ]
    } finally {
      await service[Symbol.asyncDispose]()
    }
  },
}
