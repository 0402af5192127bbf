import type { Driver, SqlValue } from '../../../src/spi/driver.ts'

export interface Spy<Tx> {
  readonly driver: Driver<Tx>
  readonly statements: string[]
  /** The parameters of each statement. */
  readonly params: (readonly SqlValue[])[]
  /** How many transactions were begun. */
  readonly transactions: () => number
}

/** A driver that notes each statement. */
export function spyOn<Tx>(driver: Driver<Tx>): Spy<Tx> {
  const statements: string[] = []
  const params: (readonly SqlValue[])[] = []
  let transactions = 0
  const query: Driver<Tx>['query'] = (sql, values, tx) => {
    statements.push(sql)
    params.push(values)
    return driver.query(sql, values, tx)
  }
  const transaction: Driver<Tx>['transaction'] = (work, options) => {
    transactions += 1
    return driver.transaction(work, options)
  }
  const spied = new Proxy(driver, {
    get(target, name) {
      if (name === 'query') return query
      if (name === 'transaction') return transaction
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
  return { driver: spied, statements, params, transactions: () => transactions }
}
