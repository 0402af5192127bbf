import { TandemError } from '../core/errors.ts'

const LOOPBACK = /^(?:localhost$|127\.|::1$)/

/** Where a connection leads, by the names that were given for it. */
export interface Place {
  /** Undefined for a unix socket, which may lead to the same server as a port. */
  readonly server: string | undefined
  /** Undefined where none was given. */
  readonly database: string | undefined
}

export interface AddressSettings {
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly socketPath?: string | undefined
  readonly database?: string | undefined
}

export function placeOf({ host, port, socketPath, database }: AddressSettings): Place {
  const hasSocket = socketPath !== undefined && socketPath !== ''
  const server =
    hasSocket || host === undefined ? undefined : `${LOOPBACK.test(host) ? 'localhost' : host}:${port ?? 3306}`
  return { server, database: database === '' ? undefined : database }
}

/** Whether they are certainly not the same. */
export function differ(one: Place, other: Place): boolean {
  const differs = (a: string | undefined, b: string | undefined): boolean =>
    a !== undefined && b !== undefined && a !== b
  return differs(one.server, other.server) || differs(one.database, other.database)
}

/** @param size how many connections the pool may have */
export function noConnection(size: number | undefined, timeout: number): TandemError {
  const all = size === undefined ? '' : ` (it has ${size})`
  return new TandemError('STORE_BUSY', `no connection of the pool${all} was free for ${timeout} ms`)
}

/** For a transaction whose connection has gone although its work has not noticed. */
export function lostBeforeCommit(cause: Error): TandemError {
  const text = `the connection was lost before the commit, and nothing was committed: ${cause.message}`
  return new TandemError('STORE_UNAVAILABLE', text, { cause })
}
