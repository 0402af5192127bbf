/** The demo's side inside a service process: carries out what the demo asks for and reports what happens. */
import { flushCompileCache } from 'node:module'
import type { Tandem, TandemOptions } from 'tandem'
import type { NodeSqliteTransaction as Tx } from 'tandem/drivers/node-sqlite'
import { embedded } from 'tandem/embedded'
import { cancelOrder, placeOrder, placeOrderWithHalfMessage, startOrder } from '../order.ts'
import type { Order } from '../messages.ts'
import { openAccount, startPayment } from '../payment.ts'
import { addArticle, startStock } from '../stock.ts'
import type { Command, Report, Request, ServiceName } from './protocol.ts'

/** Shorter than by default, so that a demo of seconds shows what otherwise takes up to ten of them. */
const LEASE = 1500
const CHECK = { transactionTimeOut: 1000, transactionCheckInterval: 1000 }

export async function obeyDemo(name: ServiceName, folder: string): Promise<void> {
  // Ctrl+C reaches every process of the terminal; the demo decides what it means.
  process.on('SIGINT', () => undefined)
  // The demo is gone: nothing may be left behind.
  process.on('disconnect', () => process.exit(1))

  const { broker } = embedded(folder, { lease: LEASE })
  const options: Partial<TandemOptions<Tx>> = { lease: LEASE, check: CHECK, broker }
  const tandem = await { order: startOrder, stock: startStock, payment: startPayment }[name](folder, options)
  report(tandem)
  process.on('message', (request: Request) => {
    void obey(tandem, request)
  })
  say({ kind: 'ready' })
  // So that the next start of a service that is killed takes less time. (Without a kill, Node does it at the end.)
  flushCompileCache()
}

async function obey(tandem: Tandem<Tx>, { id, command }: Request): Promise<void> {
  if (command.do === 'stop') {
    await tandem.stop()
    process.exit(0)
  }
  try {
    await carryOut(tandem, command)
    say({ kind: 'done', id })
  } catch (error) {
    say({ kind: 'refused', id, error: String(error) })
  }
}

function carryOut(tandem: Tandem<Tx>, command: Exclude<Command, { do: 'stop' }>): Promise<void> {
  switch (command.do) {
    case 'ping':
      return Promise.resolve()
    case 'place':
      return placeOrder(tandem, command.order)
    case 'place-with-half-message':
      return placeOrderWithHalfMessage(tandem, command.order)
    case 'place-with-half-message-and-wait':
      return placeAndWait(tandem, command.order)
    case 'cancel':
      return cancelOrder(tandem, command.orderId)
    case 'add-article':
      return addArticle(tandem, command.sku, command.quantity)
    case 'open-account':
      return openAccount(tandem, command.account, command.balance)
  }
}

/** Stops before the commit, so that the demo can kill this process just there. */
async function placeAndWait(tandem: Tandem<Tx>, order: Order): Promise<void> {
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
  await Promise.race([placeOrderWithHalfMessage(stopping, order), beforeCommit.promise])
}

function report(tandem: Tandem<Tx>): void {
  tandem.on('message.duplicate', () => say({ kind: 'happened', event: 'duplicate' }))
  tandem.on('message.failed', () => say({ kind: 'happened', event: 'failed' }))
}

function say(what: Report): void {
  // The demo may be gone; then this process ends, too.
  if (process.connected) process.send?.(what, undefined, undefined, () => undefined)
}
