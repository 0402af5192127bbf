import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { embedded } from 'tandem/embedded'
import type { Row, ServiceDatabase } from './database.ts'

/** The file of a service. It need not be there yet. */
export function openSqlite(service: string, folder: string): ServiceDatabase {
  const file = new SqliteFile(join(folder, `${service}.db`))
  return {
    store: embedded(folder).store,
    read: async (sql) => file.read(sql),
    table: (name) => `tandem_${name}`,
    quote: (name) => `"${name}"`,
    close: async () => file.close(),
  }
}

/** A SQLite file, opened when it is first read. Looks only: no service notices. */
export class SqliteFile {
  readonly #path: string
  #database: DatabaseSync | undefined

  constructor(path: string) {
    this.#path = path
  }

  read(sql: string): readonly Row[] {
    this.#database ??= new DatabaseSync(this.#path, { readOnly: true })
    return this.#database.prepare(sql).all()
  }

  close(): void {
    this.#database?.close()
    this.#database = undefined
  }
}
