// A service on PostgreSQL with a broker in memory, over the connections that a test says.
import pg from 'pg'
import postgresjs from 'postgres'
import { memory } from '../../src/brokers/memory/index.ts'
import type { TandemEvent, TandemEvents } from '../../src/core/events.ts'
import { pg as pgDriver } from '../../src/drivers/pg.ts'
import { postgresJs } from '../../src/drivers/postgres-js.ts'
import { createTandem, type Tandem } from '../../src/index.ts'
import type { TandemOptions } from '../../src/options.ts'
import type { Driver } from '../../src/spi/driver.ts'
import type { Store } from '../../src/spi/store.ts'
import { postgres, type PostgresOptions } from '../../src/stores/postgres/index.ts'
import type { PostgresAddress } from '../support/postgres-server.ts'

export interface Connections {
  readonly driver: Driver<object>
  /** Runs a statement in a transaction by the means of the library, as a user does. */
  run(tx: object, sql: string): Promise<unknown>
  /** Runs work in a transaction that Tandem does not know of. */
  begin<T>(work: () => Promise<T>): Promise<T>
  end(): Promise<void>
}

interface ConnectionOptions {
  readonly max?: number
  /** Whether Tandem's statements are prepared. Default false. */
  readonly prepare?: boolean
  /** Default 30,000. */
  readonly connectionTimeout?: number
  readonly user?: string
  readonly applicationName?: string
}

type Connect = (address: PostgresAddress, options?: ConnectionOptions) => Connections

const timeoutOf = ({ connectionTimeout = 30_000 }: ConnectionOptions): { readonly connectionTimeout: number } => ({
  connectionTimeout,
})

/** The two libraries that make connections, by name. */
export const CONNECT: Readonly<Record<'pg' | 'postgres.js', Connect>> = {
  pg: (address, options = {}) => {
    const { max = 5, prepare = false, user = address.user, applicationName = 'tandem' } = options
    const pool = new pg.Pool({ ...address, user, max, application_name: applicationName })
    return {
      driver: pgDriver(pool, { prepare, ...timeoutOf(options) }),
      run: (tx, sql) => (tx as pg.PoolClient).query(sql),
      begin: async (work) => {
        const client = await pool.connect()
        await client.query('BEGIN')
        try {
          return await work()
        } finally {
          await client.query('ROLLBACK')
          client.release()
        }
      },
      end: () => pool.end(),
    }
  },
  'postgres.js': (address, options = {}) => {
    const { max = 5, prepare = false, user = address.user, applicationName = 'tandem' } = options
    const sql = postgresjs({
      ...address,
      user,
      max,
      prepare,
      // A connection that is cut while it asks for the types leaves a rejection behind that nobody can catch (3.4.9).
      fetch_types: false,
      onnotice: () => undefined,
      connection: { application_name: applicationName },
    })
    return {
      driver: postgresJs(sql, timeoutOf(options)) as Driver<object>,
      run: async (tx, text) => (tx as postgresjs.TransactionSql).unsafe(text),
      begin: async (work) => (await sql.begin(() => work())) as Awaited<ReturnType<typeof work>>,
      end: () => sql.end({ timeout: 5 }),
    }
  },
}

export interface RunningService {
  readonly tandem: Tandem<object>
  readonly store: Store<object>
  readonly connections: Connections
  /** The events of this name so far. */
  of<E extends TandemEvent>(name: E): TandemEvents[E][]
  /** Resolves when there have been so many events of this name. */
  reached(name: TandemEvent, count?: number): Promise<void>
  /** Stops it and closes its connections. */
  end(): Promise<void>
}

const OBSERVED: readonly TandemEvent[] = [
  'message.published',
  'message.handled',
  'message.duplicate',
  'message.failed',
  'message.dead',
  'half.resolved',
  'loop.failed',
  'warning',
]

/** Makes a service, not yet started. */
export function serviceOn(
  connections: Connections,
  schema: PostgresOptions,
  options: Partial<TandemOptions<object>> = {},
): RunningService {
  const store = postgres(connections.driver, { migrate: true, ...schema })
  const tandem = createTandem({ service: 'order', store, broker: memory(), log: false, ...options })
  const seen = new Map<TandemEvent, unknown[]>(OBSERVED.map((name) => [name, []]))
  let changed = Promise.withResolvers<void>()
  for (const name of OBSERVED) {
    tandem.on(name, (event) => {
      seen.get(name)?.push(event)
      changed.resolve()
      changed = Promise.withResolvers()
    })
  }
  const of = <E extends TandemEvent>(name: E): TandemEvents[E][] => (seen.get(name) ?? []) as TandemEvents[E][]
  return {
    tandem,
    store,
    connections,
    of,
    reached: async (name, count = 1) => {
      while (of(name).length < count) await changed.promise
    },
    end: async () => {
      await tandem.stop()
      await connections.end()
    },
  }
}
