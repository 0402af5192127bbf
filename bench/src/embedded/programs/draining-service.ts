// A service with a backlog in its outbox: publishes a part of it, or all.
import { createTandem } from 'tandem'
import { embedded } from 'tandem/embedded'
import { parameters, parentGone, report } from '../../harness/parent.ts'
import { watchMemory } from '../../harness/usage.ts'
import { stopwatch } from '../../harness/stopwatch-broker.ts'

export interface DrainParameters {
  readonly folder: string
  readonly service: string
  readonly messages: number
}

const { folder, service, messages } = parameters<DrainParameters>()
const { store, broker } = embedded(folder)
const watched = stopwatch(broker, messages)
const tandem = createTandem({ service, store, broker: watched.broker })
const peak = watchMemory()
await tandem.start()
const seconds = await watched.seconds
await tandem.stop()
await report('drained', { rate: messages / seconds, memory: peak() })
await parentGone
