import type { Driver } from 'tandem/spi'

export interface Counts {
  transactions: number
  /** Those of the library; what a handler runs through its own transaction is not seen here. */
  statements: number
}

/** The driver, with a count of what the library asks of it. */
export function counting<Tx>(driver: Driver<Tx>): { readonly driver: Driver<Tx>; readonly counts: Counts } {
  const counts: Counts = { transactions: 0, statements: 0 }
  return {
    counts,
    driver: {
      name: driver.name,
      dialect: driver.dialect,
      capabilities: driver.capabilities,
      open: (context) => driver.open(context),
      transaction: (work, options) => {
        counts.transactions += 1
        return driver.transaction(work, options)
      },
      query: (sql, params, tx) => {
        counts.statements += 1
        return driver.query(sql, params, tx)
      },
      script: (sql, tx) => driver.script(sql, tx),
      inspect: (candidate) => driver.inspect(candidate),
      classify: (error) => driver.classify(error),
      close: () => driver.close(),
    },
  }
}
