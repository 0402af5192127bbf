import { setTimeout as pace } from 'node:timers/promises'
import { expect } from 'vitest'
import type { ServiceProcess } from './service-process.ts'
import type { World } from './world.ts'

/** Milliseconds between two transactions: a fast machine must not pile up more than the others can be expected to handle. */
const PACE = 20

/** Places orders one transaction after another, whatever becomes of each, until it is told to end. */
export class Load {
  /** Codes of the errors that placing orders has met; `none` for those of the service's own library. */
  readonly refused = new Set<string>()
  readonly #running: Promise<void>
  #ending = false

  constructor(world: World, order: ServiceProcess) {
    this.#running = this.#run(world, order)
  }

  async end(): Promise<void> {
    this.#ending = true
    await this.#running
  }

  /** Orders were refused because the database was not there, and for no other reason. */
  wasUnavailable(): void {
    expect(this.refused.size).toBeGreaterThan(0)
    expect([...this.refused].filter((code) => code !== 'none' && code !== 'STORE_UNAVAILABLE')).toEqual([])
  }

  async #run(world: World, order: ServiceProcess): Promise<void> {
    while (!this.#ending) {
      try {
        await order.ask('place', { orders: world.orders(8) })
      } catch (error) {
        this.refused.add((error as { code: string }).code)
      }
      await pace(PACE)
    }
  }
}
