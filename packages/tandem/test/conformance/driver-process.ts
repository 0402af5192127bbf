// A process of its own that works on the database it is told. Forked by driver-processes.test.ts.
import { betterSqlite3 } from '../../src/drivers/better-sqlite3.ts'
import { nodeSqlite } from '../../src/drivers/node-sqlite.ts'

export type Order =
  | { readonly do: 'hold' }
  | { readonly do: 'release' }
  | { readonly do: 'wait' }
  | { readonly do: 'write'; readonly times: number }
export type Report =
  | { readonly did: 'open' | 'held' | 'released' | 'ticked' | 'waited' | 'wrote' }
  | { readonly failed: string }

interface Sqlite {
  open(context: { service: string }): Promise<void>
  run<T>(work: (exec: (sql: string) => unknown) => Promise<T>): Promise<T>
  close(): Promise<void>
}

async function sqlite(library: string, file: string): Promise<Sqlite> {
  if (library === 'node-sqlite') {
    const driver = nodeSqlite(file)
    return {
      open: (c) => driver.open(c),
      run: (work) => driver.transaction((tx) => work((sql) => tx.exec(sql))),
      close: () => driver.close(),
    }
  }
  const { default: Database } = await import('better-sqlite3')
  const driver = betterSqlite3(() => new Database(file))
  return {
    open: (c) => driver.open(c),
    run: (work) => driver.transaction((tx) => work((sql) => tx.exec(sql))),
    close: () => driver.close(),
  }
}

const report = (done: Report): void => void process.send?.(done)
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const [library = '', file = ''] = process.argv.slice(2)
const database = await sqlite(library, file)
let release = (): void => undefined

const orders: Record<Order['do'], (order: Order) => Promise<void>> = {
  hold: async () => {
    await database.run(async (exec) => {
      exec('INSERT INTO t DEFAULT VALUES')
      report({ did: 'held' })
      await new Promise<void>((resolve) => {
        release = resolve
      })
    })
    report({ did: 'released' })
  },
  release: () => Promise.resolve(release()),
  wait: async () => {
    let ticks = 0
    // Says so only if the event loop goes on turning while the transaction waits for the other process.
    const timer = setInterval(() => {
      if (++ticks === 50) report({ did: 'ticked' })
    }, 1)
    await database.run(async (exec) => exec('INSERT INTO t DEFAULT VALUES'))
    clearInterval(timer)
    report({ did: 'waited' })
  },
  write: async (order) => {
    const { times } = order as Extract<Order, { do: 'write' }>
    for (let i = 0; i < times; i++) {
      await database.run(async (exec) => {
        exec('INSERT INTO t DEFAULT VALUES')
        await turn()
        exec('INSERT INTO t DEFAULT VALUES')
      })
    }
    report({ did: 'wrote' })
  },
}

process.on('message', (order: Order) => {
  orders[order.do](order).catch((error: unknown) => report({ failed: String(error) }))
})
process.on('disconnect', () => void database.close())

await database.open({ service: 'process' })
await database.run(async (exec) => exec('CREATE TABLE IF NOT EXISTS t(a INTEGER PRIMARY KEY)'))
report({ did: 'open' })
