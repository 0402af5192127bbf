import { join } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { SERVICES, type ServiceName } from '../services.ts'
import type { Row, ServiceDatabase } from './databases/database.ts'
import { SqliteFile } from './databases/sqlite.ts'

const OWN: Readonly<Record<ServiceName, Readonly<Record<string, readonly string[]>>>> = {
  order: { orders: ['id', 'sku', 'quantity', 'amount', 'account', 'state'] },
  stock: { stock: ['sku', 'initial', 'on_hand'], reservations: ['order_id', 'sku', 'quantity', 'state'] },
  payment: { accounts: ['id', 'initial', 'balance'], payments: ['order_id', 'account', 'amount', 'state'] },
}

const TANDEM: Readonly<Record<string, readonly string[]>> = {
  inbox: ['key', 'type'],
  inbox_failure: ['key', 'message_id', 'type', 'state', 'error'],
  outbox: ['key', 'id', 'type'],
  outbox_held: ['key', 'id', 'type', 'state'],
  half: ['key', 'id', 'type', 'state'],
}

const QUEUE: Readonly<Record<string, readonly string[]>> = {
  broker_topic: ['id', 'name'],
  broker_position: ['group_name', 'topic', 'partition', 'position'],
  broker_message: ['topic', 'partition', 'sequence'],
}

/**
 * Puts what the services' databases have side by side, so that one SELECT can compare them whatever they are: a schema in memory for each
 * service, with the tables under one name (`order.orders`, `order.inbox`), and `queue`. Rows are copied as they are, by plain SELECTs.
 */
export async function copyDatabases(
  databases: Readonly<Record<ServiceName, ServiceDatabase>>,
  folder: string,
): Promise<DatabaseSync> {
  const copies = new DatabaseSync(':memory:')
  for (const service of SERVICES) {
    const database = databases[service]
    copies.exec(`ATTACH DATABASE ':memory:' AS "${service}"`)
    const copy = async (table: string, source: string, columns: readonly string[]): Promise<void> => {
      const rows = await database.read(
        `SELECT ${columns.map((name) => database.quote(name)).join(', ')} FROM ${source}`,
      )
      insert(copies, `"${service}".${table}`, columns, rows)
    }
    for (const [table, columns] of Object.entries(OWN[service])) await copy(table, table, columns)
    for (const [table, columns] of Object.entries(TANDEM)) await copy(table, database.table(table), columns)
  }
  copies.exec(`ATTACH DATABASE ':memory:' AS queue`)
  const queue = new SqliteFile(join(folder, 'broker.db'))
  try {
    for (const [table, columns] of Object.entries(QUEUE)) {
      insert(copies, `queue.${table}`, columns, queue.read(`SELECT ${columns.join(', ')} FROM ${table}`))
    }
  } finally {
    queue.close()
  }
  return copies
}

function insert(copies: DatabaseSync, table: string, columns: readonly string[], rows: readonly Row[]): void {
  copies.exec(`CREATE TABLE ${table} (${columns.map((name) => `"${name}"`).join(', ')}); BEGIN`)
  const statement = copies.prepare(`INSERT INTO ${table} VALUES (${columns.map(() => '?').join(', ')})`)
  for (const row of rows) statement.run(...columns.map((name) => whole(row[name] as SQLInputValue)))
  copies.exec('COMMIT')
}

/** Numbers of JavaScript would become numbers with a point. */
function whole(value: SQLInputValue): SQLInputValue {
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : value
}
