import { PrismaPg } from '@prisma/adapter-pg'
import { PrismaClient, type Prisma } from '../../../../examples/drivers/prisma/generated/client.ts'
import { prisma } from '../../src/drivers/prisma.ts'
import type { Driver } from '../../src/spi/driver.ts'
import type { PostgresAddress } from '../support/postgres-server.ts'
import { timeoutOf, type Library, type LibraryOptions, type Rows } from './library.ts'

export function prismaClient(address: PostgresAddress, options: LibraryOptions = {}): PrismaClient {
  const settings = Object.entries(options.settings ?? {}).map(([name, value]) => `-c ${name}=${value}`)
  return new PrismaClient({
    adapter: new PrismaPg({ ...address, max: options.max ?? 5, options: settings.join(' ') }),
  })
}

export const prismaLibrary: Library = {
  name: 'prisma',
  limits: { reads: true },
  open: async (address, options = {}) => {
    const client = prismaClient(address, options)
    const driver = prisma(client, timeoutOf(options)) as Driver<object>
    try {
      await driver.open({ service: 'test' })
    } catch (error) {
      await client.$disconnect()
      throw error
    }
    return {
      driver,
      run: async (tx, text) => (tx as Prisma.TransactionClient).$queryRawUnsafe<Rows>(text),
      begin: (how, work) => {
        const level = /ISOLATION LEVEL (.+)/
          .exec(how)?.[1]
          ?.toLowerCase()
          .replaceAll(/(?:^| )./g, (letter) => letter.trim().toUpperCase())
        const limits = { timeout: 60_000, maxWait: 10_000 }
        return client.$transaction(
          work,
          level === undefined ? limits : { ...limits, isolationLevel: level as Prisma.TransactionIsolationLevel },
        )
      },
      savepoint: (tx, work) => (tx as Prisma.TransactionClient).$transaction(work),
      end: async () => {
        await driver.close()
        await client.$disconnect()
      },
    }
  },
}
