import type { Suite } from '../harness/suite.ts'
import { backlog } from './backlog.ts'
import { batch } from './batch.ts'
import { drain } from './drain.ts'
import { endToEnd } from './end-to-end.ts'
import { failing } from './failing.ts'
import { handle } from './handle.ts'
import { jobs } from './jobs.ts'
import { latency } from './latency.ts'
import { placement } from './placement.ts'
import { send } from './send.ts'
import { snapshot } from './snapshot.ts'
import { trips } from './trips.ts'
import { workflow } from './workflow.ts'

export const postgresSuite: Suite = {
  name: 'postgres',
  title: 'a PostgreSQL server whose commits reach the disk, and others who do the same on it',
  benches: [
    send,
    placement,
    endToEnd,
    jobs,
    handle,
    batch,
    workflow,
    drain,
    latency,
    backlog,
    snapshot,
    trips,
    failing,
  ],
}
