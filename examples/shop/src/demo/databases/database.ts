import type { AdminService } from 'tandem/admin'
import type { Place, ServiceName } from '../../services.ts'

export type Row = Readonly<Record<string, unknown>>

/** The database of one service as the demo sees it, from outside. */
export interface ServiceDatabase {
  /** For `tandem/admin`. */
  readonly store: AdminService['store']
  /** Rows of a SELECT. Rejects while the database is away. */
  read(sql: string): Promise<readonly Row[]>
  /** How a table of Tandem's is called there. */
  table(name: string): string
  /** A name that may be a word of SQL. */
  quote(name: string): string
  close(): Promise<void>
}

/** Only the library that is needed is loaded. */
export async function openDatabase(service: ServiceName, { database, url }: Place): Promise<ServiceDatabase> {
  switch (database) {
    case 'sqlite':
      return (await import('./sqlite.ts')).openSqlite(service, url)
    case 'postgres':
      return (await import('./postgres.ts')).openPostgres(url)
    case 'mysql':
      return (await import('./mysql.ts')).openMysql(url)
  }
}
