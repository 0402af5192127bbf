/**
 * One service in a process of its own, to be killed. It does what its parent asks over IPC, and tells everything that happens in it.
 */
import { flushCompileCache } from 'node:module'
import { errorText, isTandemError } from '../../../src/core/errors.ts'
import { at, killAtFromEnvironment, type CrashPoint } from '../../../src/testing/index.ts'
import { ChildService } from './child-service.ts'
import type { Report, Request, ServiceName, Settings } from './protocol.ts'

function report(what: Report): void {
  process.send?.(what)
}

/** There is no way on from these: the parent fails the test. */
function fault(what: string, error: unknown): void {
  const text = `${what}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`
  process.send?.({ kind: 'fault', text } satisfies Report, undefined, undefined, () => process.exit(70))
}

process.on('unhandledRejection', (error) => fault('unhandled rejection', error))
process.on('uncaughtException', (error) => fault('uncaught exception', error))
process.on('warning', (warning) => {
  if (warning.name === 'MaxListenersExceededWarning') fault('leak', warning)
})
process.on('disconnect', () => process.exit(0))

killAtFromEnvironment()
const freezeAt = process.env['TANDEM_FREEZE_AT']
if (freezeAt !== undefined) {
  at(freezeAt as CrashPoint, 1, () => {
    report({ kind: 'freezing' })
    process.kill(process.pid, 'SIGSTOP')
  })
}

const [name, settings] = process.argv.slice(2) as [ServiceName, string]
const service = new ChildService(name, JSON.parse(settings) as Settings, report)

process.on('message', (request: Request) => void answer(request))

async function answer({ id, name: command, input }: Request): Promise<void> {
  try {
    const value: unknown = await service.commands[command](input as never)
    report({ kind: 'reply', id, value: value ?? null })
    if (command === 'stop') leave()
  } catch (error) {
    report({ kind: 'refusal', id, code: isTandemError(error) ? error.code : 'none', text: errorText(error) })
  }
}

/** What `await using` does at the end of its block; Node 22 cannot read the word itself. */
process.once('SIGTERM', () => {
  void (async () => {
    await service[Symbol.asyncDispose]()
    leave()
  })()
})

/** Nothing but the channel may keep a stopped service alive. */
function leave(): void {
  service.end().catch((error: unknown) => fault('the end', error))
  process.removeAllListeners('disconnect')
  process.disconnect()
}

async function main(): Promise<void> {
  try {
    await service.start()
  } catch (error) {
    return report({ kind: 'start-failed', code: isTandemError(error) ? error.code : 'none', text: errorText(error) })
  }
  report({ kind: 'ready' })
  // A process that is killed does not get to write what it has compiled.
  flushCompileCache()
}

await main()
