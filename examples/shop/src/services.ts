/** Which services there are, and where the database of each may be. */
export const SERVICES = ['order', 'stock', 'payment'] as const
export type ServiceName = (typeof SERVICES)[number]

export function isServiceName(name: string): name is ServiceName {
  return (SERVICES as readonly string[]).includes(name)
}

/** There is a folder beside this file for each, with all three services. */
export type Database = 'sqlite' | 'postgres' | 'mysql'

/** `url`: a folder for SQLite, a connection string for the others. */
export interface Place {
  readonly database: Database
  readonly url: string
}

/** What a connection string, or the name of a folder, leads to. */
export function placeOf(url: string): Place {
  if (/^postgres(ql)?:/.test(url)) return { database: 'postgres', url }
  if (/^(mysql|mariadb):/.test(url)) return { database: 'mysql', url: url.replace(/^mariadb:/, 'mysql:') }
  return { database: 'sqlite', url }
}
