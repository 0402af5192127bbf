/** The demo's side inside a service process: carries out what the demo asks for and reports what happens. */
import { flushCompileCache } from 'node:module'
import { embedded } from 'tandem/embedded'
import type { Place, ServiceName } from '../services.ts'
import type { Report, Request } from './protocol.ts'
import { runService, type RunningService } from './run-service.ts'

/** Shorter than by default, so that a demo of seconds shows what otherwise takes up to ten of them. */
const LEASE = 1500
const CHECK = { transactionTimeOut: 1000, transactionCheckInterval: 1000 }

export async function obeyDemo(name: ServiceName, folder: string, place: Place): Promise<void> {
  // Ctrl+C reaches every process of the terminal; the demo decides what it means.
  process.on('SIGINT', () => undefined)
  // The demo is gone: nothing may be left behind.
  process.on('disconnect', () => process.exit(1))

  const { broker } = embedded(folder, { lease: LEASE })
  const service = await runService(name, place, { lease: LEASE, check: CHECK, broker })
  report(service)
  process.on('message', (request: Request) => {
    void obey(service, request)
  })
  say({ kind: 'ready' })
  // So that the next start of a service that is killed takes less time. (Without a kill, Node does it at the end.)
  flushCompileCache()
}

async function obey(service: RunningService, { id, command }: Request): Promise<void> {
  if (command.do === 'stop') {
    await service.tandem.stop()
    process.exit(0)
  }
  try {
    await service.carryOut(command)
    say({ kind: 'done', id })
  } catch (error) {
    say({ kind: 'refused', id, error: String(error) })
  }
}

function report({ tandem }: RunningService): void {
  tandem.on('message.duplicate', () => say({ kind: 'happened', event: 'duplicate' }))
  tandem.on('message.failed', () => say({ kind: 'happened', event: 'failed' }))
}

function say(what: Report): void {
  // The demo may be gone; then this process ends, too.
  if (process.connected) process.send?.(what, undefined, undefined, () => undefined)
}
