import { Relay, type RelaySettings } from '../../src/engine/relay.ts'
import { engineKit, leasesOn, numberIn, ScriptedBroker, type Kit } from './engine.ts'
import { rows } from './store.ts'

export const NO_SIGNAL: AbortSignal = new AbortController().signal
export const SHARDS: readonly string[] = Array.from({ length: 8 }, (_, shard) => `relay/${shard}`)

/** A relay that holds all shards, on a broker by hand. */
export async function relayKit(broker = new ScriptedBroker(), settings: Partial<RelaySettings> = {}) {
  const kit = await engineKit(broker)
  const leases = await leasesOn(kit.runtime, SHARDS)
  const relay = new Relay(kit.runtime, leases, {
    batchSize: 500,
    pollInterval: 100,
    giveUpAfter: 3_600_000,
    ...settings,
  })
  return {
    ...kit,
    broker,
    relay,
    leases,
    /** A round, with leases that are good however far the clock has jumped. */
    tick: async () => {
      await leases.tick()
      return relay.tick(NO_SIGNAL)
    },
  }
}

/** Numbers of the messages in the outbox. */
export const unsent = ({ db }: Kit): number[] =>
  rows<{ body: Uint8Array }>(db, 'SELECT body FROM tandem_outbox ORDER BY position').map(numberIn)
/** Numbers and states of the messages that are out of the way. */
export const held = ({ db }: Kit): [number, string][] =>
  rows<{ body: Uint8Array; state: string }>(db, 'SELECT body, state FROM tandem_outbox_held ORDER BY seq')
    .map((row): [number, string] => [numberIn(row), row.state])
    .toSorted(([a], [b]) => a - b)
