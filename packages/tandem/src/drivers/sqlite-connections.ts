import { statSync } from 'node:fs'
import { TandemError } from '../core/errors.ts'
import type { SqliteBinding, SqliteDatabase } from './sqlite-binding.ts'
import { SqliteConnection } from './sqlite-connection.ts'

interface Opened<Db extends SqliteDatabase> {
  readonly connection: SqliteConnection<Db>
  /** Which file it was, for one that has been replaced under the same name. */
  readonly identity: string | undefined
}

/**
 * The connections of one driver: a writer, a reader, and those of the user that were shown to it.
 *
 * A database in WAL mode goes on accepting writes when its file is deleted or replaced, and they are lost. So the file is looked at
 * before a connection is used (2 µs), and the driver's own connections are opened again when it has come back as another one.
 */
export class SqliteConnections<Db extends SqliteDatabase> {
  /** Path of the database; undefined in memory, where the writer does everything. */
  readonly file: string | undefined
  readonly #binding: SqliteBinding<Db>
  readonly #ownsWriter: boolean
  readonly #met = new WeakMap<object, SqliteConnection>()
  #writer: Opened<Db>
  #reader: Opened<Db> | undefined
  #doubtWriter = false
  #doubtReader = false

  /** @param owns whether the driver opened `db`, and so may close it and open it again */
  constructor(binding: SqliteBinding<Db>, db: Db, owns: boolean) {
    this.#binding = binding
    this.#ownsWriter = owns
    const connection = new SqliteConnection(binding, db)
    this.file = connection.file
    this.#writer = { connection, identity: this.#identity() }
    this.#met.set(db, connection)
  }

  /**
   * @throws TandemError `STORE_UNAVAILABLE` while the file is missing
   * @throws the library's error if it has to be opened again and cannot
   */
  writer(): SqliteConnection<Db> {
    if (this.file === undefined) return this.#writer.connection
    const identity = this.#present(this.file)
    const replaced = identity !== this.#writer.identity
    if (!replaced && !this.#doubtWriter) return this.#writer.connection
    if (this.#ownsWriter) {
      const connection = this.#open(this.file, false)
      shut(this.#writer.connection)
      this.#writer = { connection, identity }
    } else if (replaced) {
      throw unavailable(`${this.file} is another file than when its database was opened; open it again`, false)
    }
    this.#doubtWriter = false
    return this.#writer.connection
  }

  /** A connection that sees only what is committed. Undefined in memory. Throws as `writer` does. */
  reader(): SqliteConnection<Db> | undefined {
    if (this.file === undefined) return undefined
    const identity = this.#present(this.file)
    const old = this.#reader
    if (old !== undefined && old.identity === identity && !this.#doubtReader) return old.connection
    const connection = this.#open(this.file, true)
    if (old !== undefined) shut(old.connection)
    this.#reader = { connection, identity }
    this.#doubtReader = false
    return connection
  }

  /** After a failure that a fresh connection may cure. */
  doubt(): void {
    this.#doubtWriter = true
    this.#doubtReader = true
  }

  /** The one wrapper of a connection. */
  of(db: Db): SqliteConnection {
    let connection = this.#met.get(db)
    if (connection === undefined) {
      connection = new SqliteConnection(this.#binding, db)
      this.#met.set(db, connection)
    }
    return connection
  }

  isWriter(connection: SqliteConnection): boolean {
    return connection.db === this.#writer.connection.db
  }

  /** Whether it leads to the same database. */
  isHere(connection: SqliteConnection): boolean {
    return this.file === undefined ? this.isWriter(connection) : connection.file === this.file
  }

  close(): void {
    if (this.#reader !== undefined) shut(this.#reader.connection)
    if (this.#ownsWriter) shut(this.#writer.connection)
  }

  #open(file: string, readOnly: boolean): SqliteConnection<Db> {
    const db = this.#binding.connectLike(this.#writer.connection.db, file, { readOnly })
    const connection = new SqliteConnection(this.#binding, db)
    if (readOnly) return connection
    try {
      connection.setUp()
    } catch (error) {
      shut(connection)
      throw error
    }
    this.#met.set(db, connection)
    return connection
  }

  #present(file: string): string {
    const identity = this.#identity()
    if (identity !== undefined) return identity
    throw unavailable(`the database file ${file} is missing`, true)
  }

  #identity(): string | undefined {
    if (this.file === undefined) return undefined
    try {
      const stat = statSync(this.file, { throwIfNoEntry: false })
      return stat && `${stat.dev}:${stat.ino}`
    } catch (error) {
      throw unavailable(`the database file ${this.file} cannot be looked at`, true, error)
    }
  }
}

function shut(connection: SqliteConnection): void {
  try {
    connection.close()
  } catch {
    // It is given up because it is broken, or because nobody will use it again.
  }
}

function unavailable(text: string, retryable: boolean, cause?: unknown): TandemError {
  return new TandemError('STORE_UNAVAILABLE', text, { retryable, cause })
}
