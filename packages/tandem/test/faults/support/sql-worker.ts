// The thread of `BlockingSql`: runs one statement at a time and says when it is done.
import { workerData, type MessagePort } from 'node:worker_threads'
import pg from 'pg'
import type { SqlAnswer, SqlQuestion, SqlRow } from './blocking-sql.ts'

const { port, answered } = workerData as { readonly port: MessagePort; readonly answered: Int32Array }
const clients = new Map<string, pg.Client>()
// Numbers as SQLite gives them.
pg.types.setTypeParser(pg.types.builtins.INT8, Number)

async function clientFor(address: SqlQuestion['address']): Promise<pg.Client> {
  const name = JSON.stringify(address)
  const known = clients.get(name)
  if (known !== undefined) return known
  const client = new pg.Client({ ...address, application_name: 'books', connectionTimeoutMillis: 2000 })
  client.on('error', () => clients.delete(name))
  client.on('end', () => clients.delete(name))
  await client.connect()
  clients.set(name, client)
  return client
}

async function answerTo({ address, sql, params }: SqlQuestion): Promise<SqlAnswer> {
  try {
    const client = await clientFor(address)
    // Without parameters it may be a script.
    if (params.length > 0) return { rows: (await client.query<SqlRow>(sql, [...params])).rows }
    const results = [await client.query<SqlRow>(sql)].flat()
    return { rows: results.at(-1)?.rows ?? [] }
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
