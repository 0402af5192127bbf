/**
 * Runs one service of the shop as a process of its own: `npm run service -w @tandem/shop -- stock ./data`. The folder has the queue, and, unless a
 * connection string follows, the service's database. The demo forks this file, three times, and then tells the services what to do and listens
 * to what happens.
 */
import { embedded } from 'tandem/embedded'
import { killAtFromEnvironment } from 'tandem/testing'
import { obeyDemo } from './demo/child.ts'
import { runService } from './demo/run-service.ts'
import { isServiceName, placeOf } from './services.ts'

const [name = '', folder = process.env['SHOP_DATA'] ?? './data', url = folder] = process.argv.slice(2)
if (!isServiceName(name)) {
  console.error(
    `there is no service ${JSON.stringify(name)}: say order, stock or payment, after it the data folder, and after that, if its database is not to be there, a connection string`,
  )
  process.exit(2)
}
// For those who want to see a service die at a certain point: TANDEM_KILL_AT=consume.handled:3
killAtFromEnvironment()

if (process.send === undefined) {
  const { tandem } = await runService(name, placeOf(url), { broker: embedded(folder).broker })
  console.log(`${name} runs on ${placeOf(url).database}; Ctrl+C stops it`)
  const stop = (): void => {
    void tandem.stop().finally(() => process.exit())
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
} else {
  await obeyDemo(name, folder, placeOf(url))
}
