/** `npm run demo`: the shop under trouble, and its books afterwards. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { styleText } from 'node:util'
import { checkBooks } from './demo/books.ts'
import { readOptions, USAGE, UsageError, type DemoOptions } from './demo/options.ts'
import { makePlan, type Plan } from './demo/plan.ts'
import { Shop } from './demo/shop.ts'
import { View } from './demo/view.ts'

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  let options: DemoOptions | 'help'
  try {
    options = readOptions(args)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`${error.message}\n\n${USAGE}`)
    return 2
  }
  if (options === 'help') {
    console.log(USAGE)
    return 0
  }
  const existed = options.data !== undefined && existsSync(options.data)
  const folder = options.data ?? mkdtempSync(join(tmpdir(), 'tandem-shop-'))
  mkdirSync(folder, { recursive: true })
  const isGood = await run(folder, existed, options)
  // When something is off, the files are what one wants to see.
  const keep = options.keep || !isGood
  if (!keep) remove(folder, existed)
  whatNext(folder, keep)
  return isGood ? 0 : 1
}

async function run(folder: string, existed: boolean, options: DemoOptions): Promise<boolean> {
  const view = new View(process.stdout)
  const plan = makePlan(options)
  introduce(view, folder, plan, options)
  const shop = new Shop(folder, plan, options, view)
  const interrupt = (signal: NodeJS.Signals): void => {
    shop.end()
    if (!options.keep) remove(folder, existed)
    view.say(
      `\nstopped by ${signal}; the services are stopped, too${options.keep ? `, the files are in ${folder}` : ''}`,
    )
    process.exit(signal === 'SIGINT' ? 130 : 143)
  }
  process.once('SIGINT', interrupt)
  process.once('SIGTERM', interrupt)
  let isDone = false
  try {
    isDone = await shop.run()
    if (!isDone) view.note('It does not come to an end. The books say what is stuck.', ['red', 'bold'])
  } catch (error) {
    view.note(`The demo cannot go on: ${error instanceof Error ? error.message : String(error)}`, ['red', 'bold'])
  }
  await shop.close()
  const good = books(view, folder, plan)
  for (const problem of shop.problems) view.say(styleText('red', problem))
  return isDone && good && shop.problems.length === 0
}

function introduce(view: View, folder: string, plan: Plan, { orders, seed, faults }: DemoOptions): void {
  const kills = `Meanwhile they are killed ${plan.kills.length} times or more, without warning`
  const trouble = {
    none: 'Nothing is made to go wrong.',
    kill: `${kills}.`,
    all: `${kills}; messages are delivered twice; and some orders are poison: every attempt to handle them fails.`,
  }[faults]
  view.say(styleText('bold', `A shop on Tandem: ${orders} orders, seed ${seed}, faults: ${faults}`))
  view.say(
    `Three services, order → stock → payment: a process and a database file each, and a queue between them.\n${trouble}`,
  )
  view.say('In the end every order must be completed or cancelled, with no piece and no cent lost or counted twice.')
  view.say(`Files: ${folder}\n`)
}

function books(view: View, folder: string, plan: Plan): boolean {
  view.say(styleText('bold', '\nTHE BOOKS, by plain SQL on the files of the services, not through Tandem\n'))
  try {
    const lines = checkBooks(
      folder,
      plan.orders.map(({ orderId }) => orderId),
    )
    view.books(lines)
    const off = lines.filter((line) => line.off.length > 0).map(({ name }) => name)
    view.say(
      off.length === 0
        ? styleText(['green', 'bold'], '\nThe books balance.')
        : styleText(['red', 'bold'], `\nThe books do not balance: ${off.join(', ')}.`),
    )
    return off.length === 0
  } catch (error) {
    view.say(styleText('red', `The books cannot be read, since a service has not made its file: ${String(error)}`))
    return false
  }
}

/** What the demo has made, and nothing else. */
function remove(folder: string, existed: boolean): void {
  for (const file of readdirSync(folder)) {
    if (/^(order|stock|payment|broker)\.(db(-\w+)?|log)$/.test(file)) rmSync(join(folder, file), { force: true })
  }
  if (!existed && readdirSync(folder).length === 0) rmdirSync(folder)
}

function whatNext(folder: string, kept: boolean): void {
  if (!kept) {
    console.log('\nThe files are removed. To look into them yourself, run it again with --keep:')
    console.log('  npm run demo -- --keep')
    return
  }
  const config = relative(process.cwd(), join(import.meta.dirname, '../tandem.config.ts'))
  console.log(`
The files are in ${folder}. Look into them, with sqlite3 if you have it:
  sqlite3 ${join(folder, 'order.db')} "SELECT state, count(*) FROM orders GROUP BY state"
  sqlite3 ${join(folder, 'stock.db')} "SELECT * FROM stock"
  sqlite3 ${join(folder, 'payment.db')} "SELECT state, count(*), sum(amount) FROM payments GROUP BY state"
or with Tandem's command line (npm run build makes it):
  export SHOP_DATA=${folder}
  npx tandem status --config ${config}
  npx tandem audit --config ${config}`)
}
