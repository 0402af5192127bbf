import { describe, it } from 'vitest'
import { memory } from '../../src/brokers/memory/index.ts'
import { brokerConformance } from '../../src/conformance/broker.ts'
import { register } from '../../src/conformance/case.ts'

const cases = brokerConformance({
  name: 'memory',
  capabilities: {
    durable: false,
    countsDeliveries: true,
    stopsKeyOnFailure: true,
    replaysToNewGroups: true,
    maxBodyBytes: 65_536,
  },
  kills: true,
  finds: true,
  make: () => {
    const shared = memory({ maxBodyBytes: 65_536 })
    return Promise.resolve({
      connect: () => shared.connect(),
      kill: (broker) => broker.close(0),
      dispose: () => Promise.resolve(),
    })
  },
})

register(cases, { describe, it })
