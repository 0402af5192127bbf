// What the tests of the drivers of MySQL and MariaDB need of a library and its driver.
import type { Driver } from '../../src/spi/driver.ts'
import type { MariadbAddress } from '../support/mariadb-server.ts'

type Rows = readonly Record<string, unknown>[]

export interface LibraryOptions {
  /** Size of the pool. Default 5. */
  readonly max?: number
  /** Of the session, for each connection: `{ innodb_lock_wait_timeout: 1 }`. */
  readonly settings?: Readonly<Record<string, string | number>>
  readonly connectionTimeout?: number
}

/** A driver, and what its user does besides. */
export interface Opened {
  readonly driver: Driver<object>
  /** Runs a statement as the user does, on what he has: a transaction of the library. */
  run(tx: object, sql: string): Promise<Rows>
  /**
   * A transaction of the user's own, begun by the means of the library.
   *
   * @param isolation for example `READ COMMITTED`; empty for that of the connection
   */
  begin<T>(isolation: string, work: (tx: object) => Promise<T>): Promise<T>
  end(): Promise<void>
}

export interface Library {
  readonly name: string
  open(address: MariadbAddress, options?: LibraryOptions): Promise<Opened>
}

export const timeoutOf = ({ connectionTimeout }: LibraryOptions): { readonly connectionTimeout?: number } =>
  connectionTimeout === undefined ? {} : { connectionTimeout }

/** Statements that a new connection begins with. */
export function settingsOf({ settings = {} }: LibraryOptions): string[] {
  return Object.entries(settings).map(([name, value]) => `SET SESSION ${name} = ${value}`)
}
