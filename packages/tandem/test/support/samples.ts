// Runs the samples of the drivers, `examples/drivers/src`, on a database of the kind that they are for.
import { expect, test } from 'vitest'

interface Sample {
  readonly tandem: {
    start(): Promise<unknown>
    stop(): Promise<unknown>
    on(event: 'message.handled', listener: () => void): unknown
  }
  placeOrder(order: { readonly id: number; readonly sku: string; readonly quantity: number }): Promise<unknown>
  close(): unknown
}

/** What a file of `examples/drivers/src` exports. */
export interface SampleModule {
  makeShop(url: string): Sample | Promise<Sample>
}

/** A database that one sample has for itself. */
export interface SampleDatabase {
  readonly url: string
  /** Runs statements, while no sample is at work, and gives the rows of the last one. */
  query(...statements: string[]): Promise<readonly Record<string, unknown>[]>
  drop(): Promise<void>
}

const TABLES = [
  'CREATE TABLE orders (id integer PRIMARY KEY, sku varchar(40) NOT NULL)',
  'CREATE TABLE stock (sku varchar(40) PRIMARY KEY, reserved integer NOT NULL)',
  "INSERT INTO stock (sku, reserved) VALUES ('tea', 0)",
]

/** Every order that was placed is reserved once, and one that could not be placed is not. */
export function runSamples(
  samples: Readonly<Record<string, SampleModule>>,
  create: () => Promise<SampleDatabase>,
): void {
  test.each(Object.entries(samples))('%s', async (_, { makeShop }) => {
    const database = await create()
    try {
      await database.query(...TABLES)
      const shop = await makeShop(database.url)
      const handled = Promise.withResolvers<void>()
      let count = 0
      shop.tandem.on('message.handled', () => {
        if (++count === 2) handled.resolve()
      })
      await shop.tandem.start()
      try {
        await shop.placeOrder({ id: 1, sku: 'tea', quantity: 2 })
        // Refused, for there is an order 1. A message of it would be handled before that of order 2, which has the same key.
        await expect(shop.placeOrder({ id: 1, sku: 'tea', quantity: 100 })).rejects.toThrow()
        await shop.placeOrder({ id: 2, sku: 'tea', quantity: 3 })
        await handled.promise
      } finally {
        await shop.tandem.stop()
        await shop.close()
      }
      expect(await database.query('SELECT reserved FROM stock')).toEqual([{ reserved: 5 }])
      expect(await database.query('SELECT id FROM orders ORDER BY id')).toEqual([{ id: 1 }, { id: 2 }])
    } finally {
      await database.drop()
    }
  })
}
