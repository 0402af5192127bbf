/** `npm run demo`: the shop under trouble, and its books afterwards. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { styleText } from 'node:util'
import { checkBooks } from './demo/books.ts'
import { readOptions, USAGE, type DemoOptions } from './demo/options.ts'
import { Places, serverNames } from './demo/places.ts'
import { makePlan, type Plan } from './demo/plan.ts'
import { Shop } from './demo/shop.ts'
import { UsageError } from './demo/usage-error.ts'
import { View } from './demo/view.ts'
import { whatNext } from './demo/what-next.ts'

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = readOptions(args)
    if (options !== 'help') return await withFolder(options)
    console.log(USAGE)
    return 0
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`${error.message}\n\n${USAGE}`)
      return 2
    }
    console.error(`The demo cannot start: ${reason(error)}`)
    return 1
  }
}

/** An error for several addresses at once has no text of its own. */
function reason(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map((one) => reason(one)).join('; ')
  return error instanceof Error ? error.message : String(error)
}

async function withFolder(options: DemoOptions): Promise<number> {
  const existed = options.data !== undefined && existsSync(options.data)
  const folder = options.data ?? mkdtempSync(join(tmpdir(), 'tandem-shop-'))
  mkdirSync(folder, { recursive: true })
  const places = new Places()
  // Whatever ends the demo, no server stays behind, unless it is to be kept.
  const endServers = (): void => places.end()
  process.once('exit', endServers)
  let shop: Shop | undefined
  const interrupt = (signal: NodeJS.Signals): void => {
    shop?.end()
    if (!options.keep) remove(folder, existed)
    console.log(
      `\nstopped by ${signal}; the services are stopped, too${options.keep ? `, the files are in ${folder}` : ''}`,
    )
    const removed = options.keep ? Promise.resolve() : places.remove()
    void removed.finally(() => process.exit(signal === 'SIGINT' ? 130 : 143))
  }
  process.once('SIGINT', interrupt)
  process.once('SIGTERM', interrupt)
  try {
    await places.make(folder, options)
    const view = new View(process.stdout)
    const plan = makePlan(options)
    introduce(view, folder, plan, options)
    shop = new Shop(folder, places, plan, options, view)
    const isGood = await run(folder, shop, places, plan, view)
    // When something is off, the databases are what one wants to see.
    const keep = options.keep || !isGood
    await (keep ? places.close() : places.remove())
    if (keep) process.off('exit', endServers)
    else remove(folder, existed)
    whatNext(folder, keep ? places : undefined, options)
    return isGood ? 0 : 1
  } catch (error) {
    remove(folder, existed)
    throw error
  }
}

async function run(folder: string, shop: Shop, places: Places, plan: Plan, view: View): Promise<boolean> {
  let isDone = false
  try {
    isDone = await shop.run()
    if (!isDone) view.note('It does not come to an end. The books say what is stuck.', ['red', 'bold'])
  } catch (error) {
    view.note(`The demo cannot go on: ${error instanceof Error ? error.message : String(error)}`, ['red', 'bold'])
  }
  await shop.close()
  const good = await books(view, folder, places, plan)
  for (const problem of shop.problems) view.say(styleText('red', problem))
  return isDone && good && shop.problems.length === 0
}

function introduce(view: View, folder: string, plan: Plan, { orders, seed, faults, database }: DemoOptions): void {
  const kills = `Meanwhile they are killed ${plan.kills.length} times or more, without warning`
  const killed = [...new Set(plan.serverKills.map(({ server }) => server))]
  const servers =
    killed.length === 0
      ? ''
      : ` ${serverNames(killed)} ${killed.length === 1 ? 'is' : 'are'} killed, too, and started again.`
  const trouble = {
    none: 'Nothing is made to go wrong.',
    kill: `${kills}.`,
    all: `${kills}; messages are delivered twice; and some orders are poison: every attempt to handle them fails.${servers}`,
  }[faults]
  view.say(styleText('bold', `A shop on Tandem: ${orders} orders, seed ${seed}, faults: ${faults}`))
  view.say(
    `Three services, order → stock → payment: a process and a database each${where(database)}, and a queue between them.\n${trouble}`,
  )
  view.say('In the end every order must be completed or cancelled, with no piece and no cent lost or counted twice.')
  view.say(`Files: ${folder}\n`)
}

function where(database: DemoOptions['database']): string {
  return {
    sqlite: ' (a SQLite file)',
    postgres: ' (on PostgreSQL)',
    mysql: ' (on MariaDB or MySQL)',
    mixed: ' (PostgreSQL, MariaDB or MySQL, a SQLite file)',
  }[database]
}

async function books(view: View, folder: string, places: Places, plan: Plan): Promise<boolean> {
  view.say(styleText('bold', '\nTHE BOOKS, by plain SQL on the databases of the services, not through Tandem\n'))
  try {
    const expected = plan.orders.map(({ orderId }) => orderId)
    const lines = await checkBooks(places.databases, folder, expected)
    view.books(lines)
    const off = lines.filter((line) => line.off.length > 0).map(({ name }) => name)
    view.say(
      off.length === 0
        ? styleText(['green', 'bold'], '\nThe books balance.')
        : styleText(['red', 'bold'], `\nThe books do not balance: ${off.join(', ')}.`),
    )
    return off.length === 0
  } catch (error) {
    view.say(styleText('red', `The books cannot be read, since a service has not made its tables: ${String(error)}`))
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
