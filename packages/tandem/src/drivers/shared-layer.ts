import type { QueryResult, SqlValue } from '../spi/driver.ts'

/** What the drivers of every database ask of a library, as far as a library above it does not change it. */
interface Binding<Raw extends object, Handed extends object, Options, Guard> {
  readonly isSingle?: boolean
  connections(): number | undefined
  open(): Promise<void>
  close(): void
  transaction<T>(work: (raw: Raw) => Promise<T>, options: Options): Promise<T>
  handOut(raw: Raw, guard: Guard): Handed
  query(sql: string, params: readonly SqlValue[], raw: Raw | undefined): Promise<QueryResult>
  script(sql: string, raw: Raw): Promise<void>
}

/** A connection in the hands of a library that makes a transaction object of its own on it. */
export interface Lent<Raw extends object, Guard> {
  readonly connection: Raw
  /** From here on the work may use it, as long as `guard` allows it. */
  handOut(guard: Guard): void
  /** The work has ended: what comes now is the library's own. */
  workEnded(): void
}

/** A library above another one: what it knows of its transactions, and how to get one from it. */
export interface Layer<Raw extends object, Tx extends object> {
  /** The driver's name. */
  readonly name: string
  /**
   * Makes the library run `work` in a transaction object of its own on a connection on which Tandem has begun a transaction.
   *
   * @param lent what the library gets for `connection`
   */
  within(connection: Raw, lent: Raw, work: (tx: Tx) => Promise<void>): Promise<unknown>
  /** Told when the database has ended the transaction of `root`, before anybody else is. Never rejects. */
  ended?(root: Tx, how: 'committed' | 'rolled back'): Promise<void>
  /** The outermost transaction of the library that `candidate` is, or is inside of. Never throws. */
  rootOf(candidate: object): Tx | undefined
  /** The connection of a transaction of the user. */
  connectionOf(root: Tx): Raw | Promise<Raw>
  /** Whether the transaction, or the savepoint in it, that `candidate` stands for is open. */
  isOpen(candidate: object): boolean
  /** False if it is certainly connected to another database. */
  isHere(root: Tx): boolean
}

interface Own<Raw extends object, Guard> {
  readonly raw: Raw
  readonly lent: Lent<Raw, Guard>
}

/**
 * Begins, guards and ends transactions as the driver of the library below does, and has the library above make its transaction objects on
 * them. Tandem's own statements go to the connection: what the library above does to statements and rows does not touch them.
 */
export class LayerBinding<Raw extends object, Tx extends object, Options, Guard> {
  readonly name: string
  readonly isSingle: boolean
  readonly #below: Binding<Raw, object, Options, Guard>
  readonly #lend: (raw: Raw) => Lent<Raw, Guard>
  readonly #layer: Layer<Raw, Tx>
  readonly #own = new WeakMap<Tx, Own<Raw, Guard>>()

  constructor(
    below: Binding<Raw, object, Options, Guard>,
    lend: (raw: Raw) => Lent<Raw, Guard>,
    layer: Layer<Raw, Tx>,
  ) {
    this.name = layer.name
    this.isSingle = below.isSingle === true
    this.#below = below
    this.#lend = lend
    this.#layer = layer
  }

  connections(): number | undefined {
    return this.#below.connections()
  }

  open(): Promise<void> {
    return this.#below.open()
  }

  close(): void {
    this.#below.close()
  }

  async transaction<T>(work: (tx: Tx) => Promise<T>, options: Options): Promise<T> {
    let root: Tx | undefined
    const run = this.#below.transaction(async (raw) => {
      const lent = this.#lend(raw)
      // Not what the library makes of them.
      const { promise, resolve, reject } = Promise.withResolvers<T>()
      const within = this.#layer.within(raw, lent.connection, async (tx) => {
        this.#own.set(tx, { raw, lent })
        root = tx
        try {
          resolve(await work(tx))
        } catch (error) {
          reject(error)
          throw error
        } finally {
          lent.workEnded()
        }
      })
      await within.catch(reject)
      return promise
    }, options)
    let how: 'committed' | 'rolled back' = 'rolled back'
    try {
      const result = await run
      how = 'committed'
      return result
    } finally {
      if (root !== undefined) await this.#layer.ended?.(root, how)
    }
  }

  handOut(tx: Tx, guard: Guard): Tx {
    this.#own.get(tx)?.lent.handOut(guard)
    return tx
  }

  async query(sql: string, params: readonly SqlValue[], tx: Tx | undefined): Promise<QueryResult> {
    return this.#below.query(sql, params, tx && (await this.#connectionOf(tx)))
  }

  async script(sql: string, tx: Tx): Promise<void> {
    await this.#below.script(sql, await this.#connectionOf(tx))
  }

  connectionOf(candidate: object): object | undefined {
    return this.#layer.rootOf(candidate)
  }

  isTransaction(candidate: object): candidate is Tx {
    return this.#layer.rootOf(candidate) === candidate
  }

  isOpen(_: Tx, candidate: object): boolean {
    return this.#layer.isOpen(candidate)
  }

  isHere(tx: Tx): boolean {
    return this.#layer.isHere(tx)
  }

  #connectionOf(tx: Tx): Raw | Promise<Raw> {
    return this.#own.get(tx)?.raw ?? this.#layer.connectionOf(tx)
  }
}
