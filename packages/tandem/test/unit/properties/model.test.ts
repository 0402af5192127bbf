// Two services on memory adapters, with a clock that stands still until it is moved, in every kind of trouble; and what must hold.
//
// A failure prints `seed` and `path`. The same again, to the letter:
//   TANDEM_PROPERTY_SEED=<seed> TANDEM_PROPERTY_PATH=<path> npx vitest run --project unit packages/tandem/test/unit/properties
// More of it: TANDEM_PROPERTY_RUNS=20 runs twenty times as many.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { patience, runs } from '../../support/properties.ts'
import { histories, type Command } from '../../support/simulation/commands.ts'
import { checkAlways, checkAtRest } from '../../support/simulation/invariants.ts'
import { Simulation } from '../../support/simulation/run.ts'
import { World } from '../../support/simulation/world.ts'

/** 10 s each. A half message is checked three times, 30 s apart; a retry whose process died is due after 10 s. */
const ROUNDS = 40

/** @returns what became of it, in full */
async function simulate(history: readonly Command[], stopsKeyOnFailure: boolean): Promise<unknown> {
  const world = await World.create(stopsKeyOnFailure)
  try {
    const simulation = new Simulation(world)
    for (const command of history) {
      await simulation.run(command)
      await checkAlways(simulation)
    }
    const rounds = await simulation.comeToRest(ROUNDS)
    await checkAlways(simulation)
    checkAtRest(simulation)
    return { rounds, published: [...world.published], effects: [world.effects('order'), world.effects('stock')] }
  } finally {
    await world.close()
  }
}

test('the same history twice is the same to the letter, or a seed would replay nothing', async () => {
  for (const history of fc.sample(histories(80), { numRuns: 5, seed: 20_260_101 })) {
    expect(await simulate(history, true)).toEqual(await simulate(history, true))
  }
})

test.each([
  ['that keeps a key back after a failure', true, 60],
  ['that does not', false, 30],
])(
  'whatever happens: each committed message is applied once in each group, in its order, and no other (with a broker %s)',
  { timeout: patience(120_000) },
  async (_name, stopsKeyOnFailure, count) => {
    await fc.assert(
      fc.asyncProperty(histories(80), async (history) => void (await simulate(history, stopsKeyOnFailure))),
      runs(count),
    )
  },
)
