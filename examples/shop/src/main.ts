/**
 * Runs one service of the shop as a process of its own: `npm run service -w @tandem/shop -- stock ./data`. The demo forks this file, three times, and
 * then tells the services what to do and listens to what happens.
 */
import { killAtFromEnvironment } from 'tandem/testing'
import { obeyDemo } from './demo/child.ts'
import { isServiceName } from './demo/protocol.ts'
import { startOrder } from './order.ts'
import { startPayment } from './payment.ts'
import { startStock } from './stock.ts'

const [name = '', folder = process.env['SHOP_DATA'] ?? './data'] = process.argv.slice(2)
if (!isServiceName(name)) {
  console.error(
    `there is no service ${JSON.stringify(name)}: say order, stock or payment, and after it the data folder`,
  )
  process.exit(2)
}
// For those who want to see a service die at a certain point: TANDEM_KILL_AT=consume.handled:3
killAtFromEnvironment()

if (process.send === undefined) {
  const start = { order: startOrder, stock: startStock, payment: startPayment }[name]
  const tandem = await start(folder)
  console.log(`${name} runs on ${folder}; Ctrl+C stops it`)
  process.once('SIGINT', () => void tandem.stop())
  process.once('SIGTERM', () => void tandem.stop())
} else {
  await obeyDemo(name, folder)
}
