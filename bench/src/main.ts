// `npm run bench -- <suite>`: measures what a user would, prints tables, and says whether what the project promises is reached.
import { embeddedSuite } from './embedded/suite.ts'
import { runCommandLine } from './harness/command-line.ts'
import { postgresSuite } from './postgres/suite.ts'

// Through exit(), so that what lies on the disk is removed.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

process.exitCode = await runCommandLine([embeddedSuite, postgresSuite], process.argv.slice(2), {
  print: (text) => console.log(text),
  complain: (text) => console.error(text),
})
