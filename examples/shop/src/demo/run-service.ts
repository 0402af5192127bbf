/** Starts a service on the database that it is to have. Only the library of that database is loaded. */
import type { Tandem } from 'tandem'
import type { Order } from '../messages.ts'
import type { Database, Place, ServiceName } from '../services.ts'
import type { Settings } from '../settings.ts'
import type { Command } from './protocol.ts'

export interface RunningService {
  readonly tandem: Pick<Tandem<never>, 'stop' | 'on'>
  /** Does what one of the shop's customers, or somebody in the shop, asks for. */
  carryOut(command: Command): Promise<void>
}

type Run = (url: string, settings: Settings) => Promise<RunningService>
type Start<Tx> = (url: string, settings: Settings) => Promise<Tandem<Tx>>

const RUN: { readonly [S in ServiceName]: { readonly [D in Database]: () => Promise<Run> } } = {
  order: {
    sqlite: async () => runOrder(await import('../sqlite/order.ts')),
    postgres: async () => runOrder(await import('../postgres/order.ts')),
    mysql: async () => runOrder(await import('../mysql/order.ts')),
  },
  stock: {
    sqlite: async () => runStock(await import('../sqlite/stock.ts')),
    postgres: async () => runStock(await import('../postgres/stock.ts')),
    mysql: async () => runStock(await import('../mysql/stock.ts')),
  },
  payment: {
    sqlite: async () => runPayment(await import('../sqlite/payment.ts')),
    postgres: async () => runPayment(await import('../postgres/payment.ts')),
    mysql: async () => runPayment(await import('../mysql/payment.ts')),
  },
}

export async function runService(name: ServiceName, place: Place, settings: Settings): Promise<RunningService> {
  const run = await RUN[name][place.database]()
  return run(place.url, settings)
}

interface OrderService<Tx> {
  readonly startOrder: Start<Tx>
  placeOrder(tandem: Pick<Tandem<Tx>, 'transaction' | 'send'>, order: Order): Promise<void>
  placeOrderWithHalfMessage(tandem: Pick<Tandem<Tx>, 'transaction' | 'prepare'>, order: Order): Promise<void>
  cancelOrder(tandem: Tandem<Tx>, orderId: string): Promise<void>
}

function runOrder<Tx>(service: OrderService<Tx>): Run {
  return async (url, settings) => {
    const tandem = await service.startOrder(url, settings)
    const carryOut = (command: Command): Promise<void> => {
      switch (command.do) {
        case 'place':
          return service.placeOrder(tandem, command.order)
        case 'place-with-half-message':
          return service.placeOrderWithHalfMessage(tandem, command.order)
        case 'place-with-half-message-and-wait':
          return placeAndWait(service, tandem, command.order)
        case 'cancel':
          return service.cancelOrder(tandem, command.orderId)
        case 'add-article':
        case 'open-account':
        case 'ping':
        case 'stop':
          return other('order', command)
      }
    }
    return { tandem, carryOut }
  }
}

/** Stops before the commit, so that the demo can kill this process just there. */
async function placeAndWait<Tx>(service: OrderService<Tx>, tandem: Tandem<Tx>, order: Order): Promise<void> {
  const beforeCommit = Promise.withResolvers<void>()
  const stopping: Pick<Tandem<Tx>, 'transaction' | 'prepare'> = {
    transaction: (work, options) => tandem.transaction(work, options),
    prepare: async (draft) => ({
      ...(await tandem.prepare(draft)),
      commit: () => {
        beforeCommit.resolve()
        return new Promise(() => undefined)
      },
    }),
  }
  await Promise.race([service.placeOrderWithHalfMessage(stopping, order), beforeCommit.promise])
}

interface StockService<Tx> {
  readonly startStock: Start<Tx>
  addArticle(tandem: Tandem<Tx>, sku: string, quantity: number): Promise<void>
}

function runStock<Tx>(service: StockService<Tx>): Run {
  return async (url, settings) => {
    const tandem = await service.startStock(url, settings)
    const carryOut = (command: Command): Promise<void> =>
      command.do === 'add-article' ? service.addArticle(tandem, command.sku, command.quantity) : other('stock', command)
    return { tandem, carryOut }
  }
}

interface PaymentService<Tx> {
  readonly startPayment: Start<Tx>
  openAccount(tandem: Tandem<Tx>, id: string, balance: number): Promise<void>
}

function runPayment<Tx>(service: PaymentService<Tx>): Run {
  return async (url, settings) => {
    const tandem = await service.startPayment(url, settings)
    const carryOut = (command: Command): Promise<void> =>
      command.do === 'open-account'
        ? service.openAccount(tandem, command.account, command.balance)
        : other('payment', command)
    return { tandem, carryOut }
  }
}

function other(name: ServiceName, command: Command): Promise<void> {
  if (command.do === 'ping') return Promise.resolve()
  return Promise.reject(new Error(`the ${name} service does not know how to ${command.do}`))
}
