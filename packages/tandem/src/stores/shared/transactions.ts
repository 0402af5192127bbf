import { TandemError } from '../../core/errors.ts'
import type { Driver } from '../../spi/driver.ts'

/** @throws TandemError `TRANSACTION_INVALID`, `TRANSACTION_ENDED` */
export function checkTransaction<Tx>(driver: Driver<Tx>, store: string, candidate: unknown): void {
  switch (driver.inspect(candidate)) {
    case 'open':
      return
    case 'ended':
      throw new TandemError(
        'TRANSACTION_ENDED',
        'the transaction has been committed or rolled back, or was never begun; call this inside it',
      )
    case 'foreign':
      throw new TandemError(
        'TRANSACTION_INVALID',
        `not a transaction of this store (${store}); pass the one that the work was given`,
      )
  }
}
