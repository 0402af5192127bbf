// What the tests of the drivers of PostgreSQL need of a library and its driver.
import type { Driver } from '../../src/spi/driver.ts'
import type { PostgresAddress } from '../support/postgres-server.ts'

export type Rows = readonly Record<string, unknown>[]

export interface LibraryOptions {
  /** Size of the pool. Default 5. */
  readonly max?: number
  /** Of the server, for each connection: `{ statement_timeout: 100 }`. */
  readonly settings?: Readonly<Record<string, string | number>>
  readonly connectionTimeout?: number
}

/** A driver, and what its user does besides. */
export interface Opened {
  readonly driver: Driver<object>
  /** Runs a statement as the user does, on what he has: a transaction of the library. */
  run(tx: object, sql: string): Promise<Rows>
  /** A transaction of the user's own, begun by the means of the library. */
  begin<T>(options: string, work: (tx: object) => Promise<T>): Promise<T>
  /** A nested transaction by the means of the library, which is a savepoint. */
  savepoint?<T>(tx: object, work: (tx: object) => Promise<T>): Promise<T>
  end(): Promise<void>
}

export interface Library {
  readonly name: string
  /** What the library itself says to a statement on a transaction that has ended, where it does not leave that to Tandem. */
  readonly endedError?: RegExp
  /** What the driver cannot know, for the library does not tell; the cases about it are left out. */
  readonly limits?: {
    /** Of the pool: how many connections it has, where they lead, and whether one was lost while nobody used it. */
    readonly pool?: boolean
    /** A read that waits for a connection cannot be taken back. */
    readonly reads?: boolean
  }
  open(address: PostgresAddress, options?: LibraryOptions): Promise<Opened>
}

export const timeoutOf = ({ connectionTimeout }: LibraryOptions): { readonly connectionTimeout?: number } =>
  connectionTimeout === undefined ? {} : { connectionTimeout }
