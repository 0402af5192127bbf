import { parseArgs } from 'node:util'
import { runBenches, type Bench, type Suite } from './suite.ts'

/** What was typed makes no sense. */
class UsageError extends Error {}

const USAGE = `npm run bench -- <suite> [--only NAME]… [--slice] [--json FILE] [--chart FILE]

  --only NAME     only this bench; may be given several times
  --slice         a second or two of each, to see that it works; nothing is judged
  --json FILE     also write [{ bench, name, value, unit, reach, ok }]
  --chart FILE    also draw the ratios that have a reach (SVG)
  --database URL  your own server, as a role that may create databases; default: one that is started for the run
  --minutes N     how long a bench holds what it holds open for minutes; default 5

The exit code is 1 when a reach is missed, and 2 when the command makes no sense.`

/** Runs what the arguments ask for. Resolves to the exit code. */
export async function runCommandLine(
  suites: readonly Suite[],
  args: readonly string[],
  output: { readonly print: (text: string) => void; readonly complain: (text: string) => void },
): Promise<number> {
  try {
    const { values, positionals } = parse(args)
    if (values.help || positionals.length === 0) {
      if (Object.keys(values).some((name) => name !== 'help')) throw new UsageError('name a suite first')
      output.print(`${USAGE}\n\n${overview(suites)}`)
      return 0
    }
    const suite = findSuite(suites, positionals)
    const benches = select(suite, values.only ?? [])
    const { slice = false, json, chart, database } = values
    const minutes = minutesOf(values.minutes)
    return (await runBenches(benches, { slice, database, minutes, json, chart, print: output.print })) ? 0 : 1
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    output.complain(`bench: ${error.message}`)
    return 2
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        only: { type: 'string', multiple: true },
        slice: { type: 'boolean' },
        json: { type: 'string' },
        chart: { type: 'string' },
        database: { type: 'string' },
        minutes: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n\n${USAGE}`, { cause: error })
  }
}

function minutesOf(text = '5'): number {
  const minutes = Number(text)
  if (minutes > 0 && minutes < 1000) return minutes
  throw new UsageError(`--minutes must be a number of minutes, not ${JSON.stringify(text)}`)
}

function findSuite(suites: readonly Suite[], names: readonly string[]): Suite {
  const [name, ...more] = names
  if (more.length > 0) throw new UsageError(`one suite at a time, not ${names.join(', ')}`)
  const suite = suites.find((candidate) => candidate.name === name)
  if (suite !== undefined) return suite
  throw new UsageError(`there is no suite ${JSON.stringify(name)}; there are: ${namesOf(suites)}`)
}

function select({ name: suite, benches }: Suite, only: readonly string[]): readonly Bench[] {
  const unknown = only.find((name) => benches.every((bench) => bench.name !== name))
  if (unknown !== undefined) {
    throw new UsageError(`suite ${suite} has no bench ${JSON.stringify(unknown)}; it has: ${namesOf(benches)}`)
  }
  return only.length === 0 ? benches : benches.filter((bench) => only.includes(bench.name))
}

function overview(suites: readonly Suite[]): string {
  const lines = suites.flatMap(({ name, title, benches }) => [
    `${name}: ${title}`,
    ...benches.map((bench) => `  ${bench.name.padEnd(12)} ${bench.title}`),
  ])
  return lines.join('\n')
}

function namesOf(list: readonly { readonly name: string }[]): string {
  return list.map(({ name }) => name).join(', ')
}
