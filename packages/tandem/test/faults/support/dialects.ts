import type { DatabaseSettings, ServiceName } from './protocol.ts'

type Kind = DatabaseSettings['kind']

/** The tables of the services' own business. No unique keys: a second effect must be seen, not refused. */
export const TABLES: Readonly<Record<ServiceName, string>> = {
  order: `CREATE TABLE IF NOT EXISTS orders (order_id TEXT);
    CREATE TABLE IF NOT EXISTS confirmations (order_id TEXT, message_id TEXT)`,
  stock: `CREATE TABLE IF NOT EXISTS effects
      (seq SERIES, order_id TEXT, message_id TEXT, message_key TEXT, attempt INTEGER, pid INTEGER);
    CREATE TABLE IF NOT EXISTS notes (text TEXT);
    CREATE TABLE IF NOT EXISTS counters (n INTEGER PRIMARY KEY, hits INTEGER);
    INSERT INTO counters SELECT * FROM (SELECT 1 AS n, 0 AS hits UNION SELECT 2, 0) both_of_them
      WHERE NOT EXISTS (SELECT 1 FROM counters)`,
}

const SERIES: Readonly<Record<Kind, string>> = {
  sqlite: 'INTEGER PRIMARY KEY',
  postgres: 'bigint GENERATED ALWAYS AS IDENTITY',
  mariadb: 'BIGINT AUTO_INCREMENT PRIMARY KEY',
}

/**
 * A statement of these tests in the words of a database. They are written with `?` and with Tandem's tables under a prefix; the type SERIES
 * is that of a column which counts the rows in the order in which they come.
 */
export function inDialect(kind: Kind, sql: string): string {
  const text = sql.replaceAll('SERIES', SERIES[kind])
  switch (kind) {
    case 'sqlite':
      return text
    case 'mariadb':
      return text.replaceAll(/(?<=[ ,])key(?=[ ,])/g, '`key`')
    case 'postgres': {
      let parameters = 0
      return text.replaceAll(/\btandem_(?=[a-z])/g, 'tandem.').replaceAll('?', () => `$${++parameters}`)
    }
  }
}
