// The thread of `BlockingSql`: runs one statement at a time and says when it is done.
import { workerData, type MessagePort } from 'node:worker_threads'
import mysql from 'mysql2/promise'
import pg from 'pg'
import type { SqlAnswer, SqlQuestion, SqlRow, SqlValue } from './blocking-sql.ts'
import type { ServerAddress, ServerKind } from './protocol.ts'

type Run = (sql: string, params: readonly SqlValue[]) => Promise<readonly SqlRow[]>

const { port, answered } = workerData as { readonly port: MessagePort; readonly answered: Int32Array }
const connections = new Map<string, Run>()
// Numbers as SQLite gives them.
pg.types.setTypeParser(pg.types.builtins.INT8, Number)

/** Opens a connection; `lost` is called when it has gone. Without parameters a statement may be many. */
const OPEN: Readonly<Record<ServerKind, (address: ServerAddress, lost: () => void) => Promise<Run>>> = {
  postgres: async (address, lost) => {
    const client = new pg.Client({ ...address, application_name: 'books', connectionTimeoutMillis: 2000 })
    client.on('error', lost)
    client.on('end', lost)
    await client.connect()
    return async (sql, params) => {
      if (params.length > 0) return (await client.query<SqlRow>(sql, [...params])).rows
      const results = [await client.query<SqlRow>(sql)].flat()
      return results.at(-1)?.rows ?? []
    }
  },
  mariadb: async (address, lost) => {
    const connection = await mysql.createConnection({ ...address, multipleStatements: true, connectTimeout: 2000 })
    connection.on('error', lost)
    connection.on('end', lost)
    return async (sql, params) => {
      const [rows] = await connection.query(sql, [...params])
      return Array.isArray(rows) ? (rows as SqlRow[]) : []
    }
  },
}

async function answerTo({ kind, address, sql, params }: SqlQuestion): Promise<SqlAnswer> {
  const name = JSON.stringify([kind, address])
  try {
    const run = connections.get(name) ?? (await OPEN[kind](address, () => connections.delete(name)))
    connections.set(name, run)
    return { rows: await run(sql, params) }
  } catch (error) {
    const { code = 'none', message } = error as { code?: string; message: string }
    return { code, message }
  }
}

port.on('message', (question: SqlQuestion) => {
  void answerTo(question).then((answer) => {
    port.postMessage({ ...answer, id: question.id })
    Atomics.add(answered, 0, 1)
    Atomics.notify(answered, 0)
  })
})
