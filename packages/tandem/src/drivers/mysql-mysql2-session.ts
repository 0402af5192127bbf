import type { Backslash } from './mysql-values.ts'
import { runOn, type Command, type CoreConnection, type Packet, type ResultHeader } from './mysql-mysql2-core.ts'

const IN_TRANSACTION = 1
const AUTOCOMMIT = 2
const NO_BACKSLASH_ESCAPES = 512

const OK = 0x00
const EOF = 0xfe
const ERROR = 0xff
const HEADER = 4

/** Has no effect, and its answer says whether a transaction is open. */
const ASK = 'DO 0'

/** Errors with which the server rolls the whole transaction back: deadlocks, and where locks take more room than there is. */
const ROLLS_BACK = new Set([1213, 1206, 1613, 1614])

/**
 * Errors that leave the transaction open: of a statement that cannot be run or breaks a constraint. After any other, it depends: a lock that
 * was not given in time, for example, rolls back the statement alone, or everything, as the server is set.
 */
const LEAVES_OPEN: ReadonlySet<number> = new Set(
  [
    // No such thing, or not allowed.
    [1051, 1054, 1064, 1142, 1143, 1146, 1149, 1305],
    // Wrong in itself.
    [1052, 1055, 1060, 1065, 1066, 1110, 1111, 1136, 1172, 1222, 1241, 1242, 1248, 1568, 3140],
    // Values that do not fit.
    [1048, 1264, 1265, 1292, 1364, 1365, 1366, 1406, 1411, 1690],
    // Constraints, and SIGNAL, of triggers for example.
    [1062, 1216, 1217, 1451, 1452, 1586, 1644, 3819, 4025],
  ].flat(),
)

/** Is told of what becomes of a transaction, before the next statement is sent. */
export interface SessionObserver {
  /** No transaction is open any more. @param error what the server said, if it was an error */
  ended(error: Error | undefined): void
  /** A statement has failed, and the server has to be asked what has become of the transaction. */
  unknown(error: Error): void
  /** A statement has ended, and nothing is under way. */
  idle(): void
}

/** What the server has said last about the state of a connection. It comes with every answer, and the library keeps it to itself. */
export class Session {
  readonly #core: CoreConnection
  #flags: number | undefined
  observer: SessionObserver | undefined

  private constructor(core: CoreConnection) {
    this.#core = core
  }

  /** The one session of a connection, followed from here on. */
  static of(core: CoreConnection): Session {
    let session = sessions.get(core)
    if (session === undefined) {
      session = new Session(core)
      sessions.set(core, session)
      session.#follow()
    }
    return session
  }

  /** A statement belongs to a transaction that goes on after it. `unknown`: not met yet, or an error may have ended it. */
  get state(): 'open' | 'none' | 'unknown' {
    return this.#flags === undefined ? 'unknown' : stateIn(this.#flags)
  }

  /** Whether somebody has left a transaction open, as far as it is known. */
  get isInTransaction(): boolean {
    return ((this.#flags ?? 0) & IN_TRANSACTION) !== 0
  }

  get backslash(): Backslash {
    if (this.#flags === undefined) return 'unknown'
    return (this.#flags & NO_BACKSLASH_ESCAPES) === 0 ? 'escape' : 'plain'
  }

  /** As `state`, from the server where it is not known. */
  async settled(): Promise<'open' | 'none'> {
    return this.state === 'unknown' ? this.learn() : this.state
  }

  /** Asks the server. Forgets it at once where the library cannot be followed. */
  async learn(): Promise<'open' | 'none'> {
    const { serverStatus = AUTOCOMMIT } = (await runOn(this.#core, ASK)) as ResultHeader
    if (this.isFollowed) this.#flags = serverStatus
    return stateIn(serverStatus)
  }

  get isFollowed(): boolean {
    return this.#core.handlePacket !== undefined && '_command' in this.#core
  }

  #follow(): void {
    const core = this.#core
    const handle = core.handlePacket
    if (handle === undefined || !this.isFollowed) return
    core.handlePacket = (packet) => {
      const command = core._command
      const error = packet === undefined ? undefined : errorIn(packet)
      // Whoever waits for the statement learns of its error within the call.
      if (error !== undefined) this.#failed(error)
      handle.call(core, packet)
      if (packet === undefined || command === undefined || command === null || core._command === command) return
      if (error === undefined) this.#answered(packet, command)
      else if (this.#flags === undefined) this.observer?.unknown(error)
      this.observer?.idle()
    }
  }

  #failed(error: ServerError): void {
    if (LEAVES_OPEN.has(error.errno)) return
    if (ROLLS_BACK.has(error.errno)) {
      this.#flags = (this.#flags ?? AUTOCOMMIT) & ~IN_TRANSACTION
      this.observer?.ended(error)
    } else {
      this.#flags = undefined
    }
  }

  /** The last packet of an answer. */
  #answered(packet: Packet, command: Command): void {
    const flags = flagsIn(packet, command)
    if (flags === undefined) return
    this.#flags = flags
    if (this.state === 'none') this.observer?.ended(undefined)
  }
}

/** Without autocommit, whatever comes next is in a transaction. */
function stateIn(flags: number): 'open' | 'none' {
  return (flags & IN_TRANSACTION) !== 0 || (flags & AUTOCOMMIT) === 0 ? 'open' : 'none'
}

const sessions = new WeakMap<CoreConnection, Session>()

type ServerError = Error & { readonly errno: number }

function errorIn({ buffer, start, end }: Packet): ServerError | undefined {
  if (buffer[start + HEADER] !== ERROR) return undefined
  const errno = buffer.readUInt16LE(start + HEADER + 1)
  // A sign and five characters of SQLSTATE stand before the text.
  const message = buffer.toString('utf8', Math.min(end, start + HEADER + 9), end)
  return Object.assign(new Error(message), { errno })
}

function flagsIn({ buffer, start, end }: Packet, command: Command): number | undefined {
  const begin = start + HEADER
  if (buffer[begin] === EOF && end - begin < 9) return buffer.readUInt16LE(begin + 3)
  // The answer to a statement that is being prepared looks alike.
  if (buffer[begin] !== OK || 'parameterDefinitions' in command) return undefined
  // Behind the number of rows and the last id.
  const position = skipNumber(buffer, skipNumber(buffer, begin + 1))
  return position + 2 <= end ? buffer.readUInt16LE(position) : undefined
}

/** Of a number whose length is in its first byte. */
function skipNumber(buffer: Buffer, position: number): number {
  const first = buffer[position] ?? 0
  if (first < 0xfc) return position + 1
  return position + (first === 0xfc ? 3 : first === 0xfd ? 4 : 9)
}
