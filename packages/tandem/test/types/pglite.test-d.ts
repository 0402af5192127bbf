// `pglite` takes instances of PGlite, and what a handler gets is PGlite's own transaction.
import type { PGlite, Transaction } from '@electric-sql/pglite'
import type { Pool } from 'pg'
import { expectTypeOf, test } from 'vitest'
import { pglite } from '../../src/drivers/pglite.ts'
import type { Driver } from '../../src/spi/driver.ts'

declare const db: PGlite
declare const pool: Pool

test('the transaction is the one of PGlite', () => {
  expectTypeOf(pglite(db)).toEqualTypeOf<Driver<Transaction>>()
  pglite(db, { connectionTimeout: 5000 })

  // @ts-expect-error -- a pool: the instance of PGlite is meant
  pglite(pool)
  // @ts-expect-error -- an option that there is not
  pglite(db, { prepare: true })
  // @ts-expect-error -- the instance is no transaction
  void pglite(db).query('SELECT 1', [], db)
  void pglite(db).transaction(async (tx) => {
    const { rows } = await tx.query<{ onHand: number }>('SELECT 1')
    expectTypeOf(rows[0]?.onHand).toEqualTypeOf<number | undefined>()
  })
})
