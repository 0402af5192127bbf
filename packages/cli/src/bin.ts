import { processIo } from './process-io.ts'
import { run } from './run.ts'

// Until Node 24, node:sqlite and the reading of TypeScript warn on standard error at every start.
const emitWarning = process.emitWarning.bind(process) as (...args: unknown[]) => void
process.emitWarning = (...args: unknown[]) => {
  const text = args[0] instanceof Error ? args[0].message : String(args[0])
  if (!/^(?:SQLite|Type Stripping) is an experimental/.test(text)) emitWarning(...args)
}

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
}

const code = await run(process.argv.slice(2), processIo())
// What a configuration leaves open (a connection pool, a timer) must not keep the command from ending.
await new Promise((resolve) => process.stdout.write('', resolve))
process.exit(code)
