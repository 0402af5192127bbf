/** Databases and brokers that go away and come back. */
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { expect } from 'vitest'
import { sqliteTest, LEASE, type World } from './support/world.ts'
import type { ServiceProcess } from './support/service-process.ts'

const FILES = ['broker', 'order', 'stock'] as const
type File = (typeof FILES)[number]

/** Longest pause of a loop that has failed for a while. */
const BACKOFF = 2000

const DIES = '5. The relay dies or sleeps for ever after the database or broker reconnects'

interface Services {
  readonly order: ServiceProcess
  readonly stock: ServiceProcess
}

async function startBoth(world: World): Promise<Services> {
  const [order, stock] = await Promise.all([world.start('order'), world.start('stock')])
  await order.ask('place', { orders: world.orders(8) })
  await world.settled()
  return { order, stock }
}

/** Something to do that needs the file, and the failure of whoever needs it. Lasts longer than a lease. */
async function failsWithout(
  world: World,
  file: File,
  { order, stock }: Services,
  codes: readonly string[],
): Promise<void> {
  const began = performance.now()
  if (file === 'order') {
    await expect(order.ask('place', { orders: world.orders(1) })).rejects.toSatisfy((error) =>
      codes.includes((error as { code: string }).code),
    )
  } else {
    await order.ask('place', { orders: world.orders(8) })
  }
  const failing = file === 'stock' ? stock : order
  const loop = { broker: 'relay', order: 'leases', stock: 'consumer' }[file]
  for (let seen = 0; performance.now() - began < 1.5 * LEASE; seen = failing.reports.length) {
    await failing.event(
      'loop.failed',
      (event) => event['loop'] === loop && codes.includes((event['error'] as { code: string }).code),
      seen,
    )
  }
}

async function worksAgain(world: World, { order }: Services): Promise<void> {
  await order.ask('place', { orders: world.orders(8) })
  await world.settled(BACKOFF + world.soon)
}

/** The files of a database: its own, and those of its log. */
function move(world: World, file: File, from: string, to: string): void {
  for (const suffix of ['', '-wal', '-shm']) {
    const path = `${world.path(file)}${suffix}`
    try {
      renameSync(`${path}${from}`, `${path}${to}`)
    } catch (error) {
      if ((error as { code: string }).code !== 'ENOENT') throw error
    }
  }
}

for (const file of FILES) {
  sqliteTest(
    `${DIES}: ${file}.db is locked by another process for longer than a lease`,
    async (world) => {
      const services = await startBoth(world)
      const other = new DatabaseSync(world.path(file), { timeout: 5000 })
      other.exec('BEGIN EXCLUSIVE')
      await failsWithout(world, file, services, ['STORE_BUSY', 'BROKER_UNAVAILABLE'])
      other.exec('ROLLBACK')
      other.close()
      await worksAgain(world, services)
    },
    { lockTimeout: 200 },
  )

  sqliteTest(`${DIES}: ${file}.db is moved away and comes back`, async (world) => {
    const services = await startBoth(world)
    move(world, file, '', '-away')
    await failsWithout(world, file, services, ['STORE_UNAVAILABLE', 'BROKER_UNAVAILABLE'])
    move(world, file, '-away', '')
    await worksAgain(world, services)
  })

  sqliteTest(`${DIES}: ${file}.db cannot be read, and then it can`, async (world) => {
    const services = await startBoth(world)
    move(world, file, '', '-away')
    writeFileSync(world.path(file), 'this is no database, it only stands in its place '.repeat(100))
    await failsWithout(world, file, services, ['STORE_UNAVAILABLE', 'BROKER_UNAVAILABLE'])
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${world.path(file)}${suffix}`, { force: true })
    move(world, file, '-away', '')
    await worksAgain(world, services)
  })
}
