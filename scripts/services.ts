// `npm run services`: the servers that Tandem works with, on this machine, without a container.
import { parseArgs } from 'node:util'
import { installMissing } from './services/install.ts'
import type { Service } from './services/service.ts'
import { SERVICES, Services } from './services/services.ts'
import { servicesFolder, State } from './services/state.ts'

const NAMES = SERVICES.map(({ name }) => name)
const USAGE = `npm run services -- <what> [service …] [--install]

  up       starts them, unless they are running, and prints their connection strings
  down     ends them and removes their data
  kill     kills them with SIGKILL; up starts them again on the same data
  status   says which are running

Services: ${NAMES.join(', ')}; all of them if none is named. --install lets up install what is missing from Debian's packages (as root).`

async function main(args: string[]): Promise<number> {
  const { what, chosen, install } = read(args)
  if (what === undefined) {
    console.error(USAGE)
    return 2
  }
  if (install) installMissing(chosen)
  const services = new Services(new State(servicesFolder()))
  // The last that was started ends first: it may need those before.
  for (const service of what === 'up' || what === 'status' ? chosen : chosen.toReversed()) {
    console.log(`${service.name.padEnd(12)}${await WHATS[what](services, service)}`)
  }
  return 0
}

const WHATS = {
  up: (services: Services, service: Service): Promise<string> => services.up(service),
  down: async (services: Services, service: Service): Promise<string> =>
    (await services.down(service)) ? 'stopped, its data removed' : 'was not running',
  kill: async (services: Services, service: Service): Promise<string> =>
    (await services.kill(service)) ? 'killed, its data kept' : 'was not running',
  status: async (services: Services, service: Service): Promise<string> => {
    const running = services.status(service)
    return running === undefined ? 'not running' : `${running.url} (pid ${running.pid})`
  },
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  return 1
})

/** `what` is undefined if the words make no sense. */
function read(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { install: { type: 'boolean', default: false } },
  })
  const [word = '', ...names] = positionals
  const isKnown = word in WHATS && names.every((name) => NAMES.includes(name))
  const chosen = SERVICES.filter(({ name }) => names.length === 0 || names.includes(name))
  return { what: isKnown ? (word as keyof typeof WHATS) : undefined, chosen, install: values.install }
}
