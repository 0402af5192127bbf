/**
 * Kills a process at every crash point and looks at what becomes of its work: first with nobody else there, so that it is started again, then
 * beside a process of the same service that goes on. `docs/internals/crash-tables.md` says for each point what must happen.
 *
 * TANDEM_FAULT_ROUNDS=10 dies at the first, second … tenth time that a process comes to each point. Default 1.
 */
import { describe, expect, test } from 'vitest'
import { CRASH_POINTS, type CrashPoint } from '../../src/testing/index.ts'
import { SCENARIOS, type Scenario, type Stage } from './support/crash-scenarios.ts'
import { ProcessDied, type ServiceProcess } from './support/service-process.ts'
import { faultTest, type World } from './support/world.ts'

const ROUNDS = Math.max(1, Number(process.env['TANDEM_FAULT_ROUNDS'] ?? 1))

test('every crash point has a scenario', () => {
  for (const point of CRASH_POINTS) expect(SCENARIOS[point], point).not.toHaveLength(0)
})

for (const point of CRASH_POINTS) {
  describe.concurrent(point, () => {
    for (const scenario of SCENARIOS[point]) {
      for (let nth = 1; nth <= ROUNDS; nth++) {
        const which = [scenario.variant ?? [], nth > 1 ? `time ${nth}` : []]
          .flat()
          .map((text) => `, ${text}`)
          .join('')
        const settings = scenario.settings
        faultTest(`killed and started again${which}`, (world) => restarted(world, scenario, point, nth), settings)
        faultTest(`killed beside another${which}`, (world) => takenOver(world, scenario, point, nth), settings)
      }
    }
  })
}

async function restarted(world: World, scenario: Scenario, point: CrashPoint, nth: number): Promise<void> {
  const other = await world.start(scenario.victim === 'order' ? 'stock' : 'order')
  const victim = await world.start(scenario.victim, { ...scenario.armed, killAt: `${point}:${nth}` })
  const last = await runUntilDead(world, scenario, { victim, order: scenario.victim === 'order' ? victim : other })
  scenario.onDisk(world.books, last)

  const again = await world.start(scenario.victim)
  await goesOn(world, scenario.victim === 'order' ? again : other)
}

async function takenOver(world: World, scenario: Scenario, point: CrashPoint, nth: number): Promise<void> {
  const other = await world.start(scenario.victim === 'order' ? 'stock' : 'order')
  // The first takes all leases and then shares them: what there is one of is its work.
  const victim = await world.start(scenario.victim, { ...scenario.armed, killAt: `${point}:${nth}` })
  const survivor = await world.start(scenario.victim)
  const feeding = scenario.feeds === 'victim' ? victim : survivor
  await runUntilDead(world, scenario, { victim, order: scenario.victim === 'order' ? feeding : other })
  await goesOn(world, scenario.victim === 'order' ? survivor : other)
}

/** @returns the orders of the last step */
async function runUntilDead(
  world: World,
  { step }: Scenario,
  { victim, order }: { readonly victim: ServiceProcess; readonly order: ServiceProcess },
): Promise<readonly string[]> {
  const settledOrDead = async (): Promise<void> => {
    // Whatever the victim was to do takes a moment after everything looks settled: nobody waits for that.
    await Promise.race([world.settled(10_000).catch(() => undefined), victim.exited])
  }
  const stage: Stage = { world, victim, order, settledOrDead }
  let last: readonly string[] = []
  for (let i = 0; i < 100 && victim.alive; i++) {
    const before = world.placed
    await step(stage).catch((error: unknown) => {
      if (!(error instanceof ProcessDied) || victim.alive) throw error
    })
    last = world.placedSince(before)
  }
  expect(await victim.died()).toEqual({ code: null, signal: 'SIGKILL' })
  return last
}

/** P1, P2, P3 and P5: everything that was begun ends, once, within a lease, and so does what comes now. */
async function goesOn(world: World, order: ServiceProcess): Promise<void> {
  // On the same keys, so that whatever is delivered again comes before these.
  await order.ask('place', { orders: world.orders(8) })
  await world.settled()
}
