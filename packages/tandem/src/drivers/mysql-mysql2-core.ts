import type { AddressSettings } from './mysql-connection.ts'

/** A statement that a connection works on, or will. */
export interface Command {
  readonly onResult?: ((error: Error) => void) | undefined
  emit(event: 'error', error: Error): unknown
  listenerCount(event: 'error'): number
}

/** What comes from the server; `start` is where its header begins. */
export interface Packet {
  readonly buffer: Buffer
  readonly start: number
  readonly end: number
}

/** The answer to a statement that gives no rows. */
export interface ResultHeader {
  readonly affectedRows: number
  readonly info: string
  readonly serverStatus?: number
}

export type QueryCallback = (error: Error | null, result?: unknown) => void

/**
 * A connection of mysql2 below its promises, as far as the driver uses it. What is optional here is not documented; without it the driver asks
 * the server for what it would have seen.
 */
export interface CoreConnection {
  readonly config: AddressSettings & { readonly multipleStatements?: boolean }
  query(options: object, callback: QueryCallback): unknown
  release(): void
  destroy(): void
  on(event: 'error' | 'end', listener: (error?: Error) => void): unknown
  removeListener(event: 'error' | 'end', listener: (error?: Error) => void): unknown
  promise(): object
  handlePacket?: (packet?: Packet) => void
  addCommand?: (command: Command) => Command
  /** What it works on. */
  readonly _command?: Command | null | undefined
}

/** A pool of mysql2 below its promises. */
export interface CorePool {
  getConnection(callback: (error: Error | null, connection: CoreConnection) => void): void
  on(event: 'connection' | 'acquire', listener: (connection: CoreConnection) => void): unknown
  readonly config?: { readonly connectionLimit?: number }
}

/** Whether it has the shape of a connection below its promises. Never throws. */
export function isCore(candidate: object): candidate is CoreConnection {
  const { query, config, promise, on } = candidate as Partial<CoreConnection>
  const areMethods = [query, promise, on].every((method) => typeof method === 'function')
  // A pool has a configuration of its own kind.
  return areMethods && typeof config === 'object' && !('connectionConfig' in config)
}

/** Runs a statement as it is. */
export function runOn(core: CoreConnection, sql: string, options: object = {}): Promise<unknown> {
  return new Promise((resolve, reject) => {
    // An empty list of values, because the library looks for names in the text where there is none.
    core.query({ ...options, sql, values: [] }, (error, result) => {
      if (error === null) resolve(result)
      else reject(error)
    })
  })
}
