import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads'
import type { ServerAddress, ServerKind } from './protocol.ts'

export type SqlValue = string | number | null
export type SqlRow = Readonly<Record<string, SqlValue>>

export interface SqlQuestion {
  readonly id: number
  readonly kind: ServerKind
  readonly address: ServerAddress
  readonly sql: string
  readonly params: readonly SqlValue[]
}

export interface SqlAnswer {
  readonly rows?: readonly SqlRow[]
  readonly code?: string
  readonly message?: string
}

/** The server cannot be reached, or does not answer. */
export class Unreachable extends Error {}

/** Milliseconds to wait for an answer. */
const PATIENCE = 5000
const NOT_REACHABLE = /^(?:08|57P|ECONN|EPIPE|ETIMEDOUT|PROTOCOL_|ER_SERVER_SHUTDOWN|none$)/

/**
 * Asks a database server and blocks until it answers, as `DatabaseSync` does with a file: so the books read alike, whatever they are kept in.
 * The connections are those of a thread.
 */
export class BlockingSql {
  readonly #kind: ServerKind
  readonly #port
  readonly #answered = new Int32Array(new SharedArrayBuffer(4))
  #asked = 0

  constructor(kind: ServerKind) {
    this.#kind = kind
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    const worker = new Worker(new URL('sql-worker.ts', import.meta.url), {
      workerData: { port: port2, answered: this.#answered },
      transferList: [port2],
    })
    worker.unref()
    port1.unref()
  }

  /**
   * @param sql with parameters, one statement; without, any number
   * @throws Unreachable; any other error with the server's code
   */
  query(address: ServerAddress, sql: string, params: readonly SqlValue[] = []): readonly SqlRow[] {
    const id = ++this.#asked
    this.#port.postMessage({ id, kind: this.#kind, address, sql, params } satisfies SqlQuestion)
    for (;;) {
      const before = Atomics.load(this.#answered, 0)
      const answer = receiveMessageOnPort(this.#port)?.message as (SqlAnswer & { id: number }) | undefined
      if (answer?.id === id) return rowsOf(answer, sql)
      // One that comes too late is passed over.
      if (answer === undefined && Atomics.wait(this.#answered, 0, before, PATIENCE) === 'timed-out') {
        throw new Unreachable(`no answer within ${PATIENCE} ms to ${sql}`)
      }
    }
  }
}

function rowsOf({ rows, code = '', message = '' }: SqlAnswer, sql: string): readonly SqlRow[] {
  if (rows !== undefined) return rows
  if (NOT_REACHABLE.test(code)) throw new Unreachable(message)
  throw Object.assign(new Error(`${message}, in ${sql}`), { code })
}
