import { setTimeout as delay } from 'node:timers/promises'
import { isFree } from '../servers/free-port.ts'
import { signalTree } from '../servers/server-process.ts'
import { mariadb } from './mariadb.ts'
import { pgbouncer } from './pgbouncer.ts'
import { postgres } from './postgres.ts'
import type { Service } from './service.ts'
import type { State } from './state.ts'

export const SERVICES: readonly Service[] = [postgres, mariadb, pgbouncer]

/** Milliseconds that a server has to end in good order, and to be gone after a kill. */
const STOP_TIMEOUT = 15_000
const PORT_TIMEOUT = 5_000

/** The services that are on the machine for this checkout. Each act may be done twice. */
export class Services {
  readonly #state: State
  readonly #portOf: (service: Service) => number

  /** @param portOf default: the port that the service has everywhere */
  constructor(state: State, portOf: (service: Service) => number = ({ port }) => port) {
    this.#state = state
    this.#portOf = portOf
  }

  /** Starts it, and what it needs, unless it is running. @returns the connection string */
  async up(service: Service): Promise<string> {
    for (const name of service.needs) await this.up(named(name))
    const { name } = service
    const known = this.#state.read(name)
    if (known !== undefined && this.#state.isRunning(name)) return service.url(known.port)
    const missing = service.missing()
    if (missing !== undefined) throw new Error(missing)
    const port = this.#portOf(service)
    // The last processes of a server that was killed may hold its port for a moment after the first is gone.
    const isOurs = known?.port === port
    if (!(await until(() => isFree(port), isOurs ? PORT_TIMEOUT : 0))) {
      throw new Error(`${name}: another program is listening on 127.0.0.1:${port}`)
    }
    const portOf = (other: string): number => this.#state.read(other)?.port ?? this.#portOf(named(other))
    const { pid } = await service.start({ folder: this.#state.data(name), port, portOf })
    this.#state.write(name, { pid, port })
    return service.url(port)
  }

  /** Ends it and removes its data. @returns whether it was running */
  async down(service: Service): Promise<boolean> {
    const wasRunning = this.#state.isRunning(service.name)
    const { pid } = this.#state.read(service.name) ?? {}
    if (wasRunning && pid !== undefined) {
      // A process that somebody has stopped does not hear anything else.
      signalTree(pid, 'SIGCONT')
      process.kill(pid, service.stopSignal)
      if (!(await this.#gone(service))) await this.kill(service)
    }
    this.#state.remove(service.name)
    return wasRunning
  }

  /** Kills it with SIGKILL; its data stays, and the next start recovers it. @returns whether it was running */
  async kill(service: Service): Promise<boolean> {
    const { pid } = this.#state.read(service.name) ?? {}
    if (pid === undefined || !this.#state.isRunning(service.name)) return false
    signalTree(pid, 'SIGKILL')
    if (!(await this.#gone(service))) throw new Error(`${service.name} is still there after SIGKILL (pid ${pid})`)
    return true
  }

  /** The connection string if it is running. */
  status(service: Service): { readonly pid: number; readonly url: string } | undefined {
    const known = this.#state.read(service.name)
    if (known === undefined || !this.#state.isRunning(service.name)) return undefined
    return { pid: known.pid, url: service.url(known.port) }
  }

  #gone(service: Service): Promise<boolean> {
    return until(() => !this.#state.isRunning(service.name), STOP_TIMEOUT)
  }
}

/** @returns false if it has not come true in so many milliseconds */
async function until(condition: () => boolean | Promise<boolean>, timeout: number): Promise<boolean> {
  const deadline = performance.now() + timeout
  while (!(await condition())) {
    if (performance.now() >= deadline) return false
    await delay(20)
  }
  return true
}

function named(name: string): Service {
  const service = SERVICES.find((one) => one.name === name)
  if (service === undefined) throw new Error(`there is no service ${name}`)
  return service
}
