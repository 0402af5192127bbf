import type { Suite } from '../harness/suite.ts'
import { backlog } from './backlog.ts'
import { handle } from './handle.ts'
import { idle } from './idle.ts'
import { latency } from './latency.ts'
import { relay } from './relay.ts'
import { send } from './send.ts'
import { statements } from './statements.ts'

export const embeddedSuite: Suite = {
  name: 'embedded',
  title: 'node:sqlite for the services and a shared file as the broker; commits with synchronous=FULL',
  benches: [send, handle, latency, backlog, idle, relay, statements],
}
