import type pg from 'pg'

export interface Wire {
  /** Times that the process has written to a connection after it had read from it: each is a wait for an answer. */
  roundTrips: number
  statements: number
  commits: number
}

/** What goes over the connections that the pool makes from now on. */
export function watchWire(pool: pg.Pool): Wire {
  const wire: Wire = { roundTrips: 0, statements: 0, commits: 0 }
  pool.on('connect', (client) => {
    const { stream } = (client as unknown as { connection: { stream: NodeJS.EventEmitter & { write: Write } } })
      .connection
    let answered = true
    stream.on('data', () => (answered = true))
    const write = stream.write.bind(stream)
    stream.write = (...args) => {
      if (answered) wire.roundTrips += 1
      answered = false
      return write(...args)
    }
    const query = client.query.bind(client) as Query
    ;(client as { query: Query }).query = (statement, ...rest) => {
      wire.statements += 1
      const text = typeof statement === 'string' ? statement : statement.text
      if (text === 'COMMIT') wire.commits += 1
      return query(statement, ...rest)
    }
  })
  return wire
}

type Write = (...args: unknown[]) => boolean
type Query = (statement: string | { readonly text: string }, ...rest: unknown[]) => unknown
