import { existsSync, readdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { placeOf } from '../services.ts'
import { isLayout, LAYOUT_NAMES, LAYOUTS, type LayoutName, type ServerKind } from './layouts.ts'
import { UsageError } from './usage-error.ts'

const FAULTS = ['none', 'kill', 'all'] as const
type Faults = (typeof FAULTS)[number]

export interface DemoOptions {
  readonly orders: number
  readonly seed: number
  /** Undefined: a fresh temporary folder. */
  readonly data: string | undefined
  readonly faults: Faults
  readonly keep: boolean
  readonly database: LayoutName
  /** A connection string, with the rights to make databases. Undefined: a server of the demo's own. */
  readonly postgres: string | undefined
  readonly mysql: string | undefined
}

export const USAGE = `npm run demo -- [options]

Starts the order, stock and payment services, places orders, makes trouble, and checks the books.

  --orders N          orders to place, 1 to 100,000 (default 500)
  --seed S            makes the same orders and plans the same trouble again (default: another one each time)
  --faults KIND       none: no trouble
                      kill: processes are killed with SIGKILL, at random moments and between two steps
                      all:  also duplicates, a message that no handler survives, and database servers killed with SIGKILL (default)
  --database NAME     what the services' databases are
                      sqlite:   three files (default)
                      postgres: PostgreSQL
                      mysql:    MariaDB or MySQL
                      mixed:    order on PostgreSQL, stock on MariaDB or MySQL, payment on SQLite
  --postgres URL      a PostgreSQL server that is there; the demo makes its databases on it, and never kills it (default: a server of its own)
  --mysql URL         the same with MariaDB or MySQL
  --data DIR          where files are made; must be empty or missing (default: a temporary folder)
  --keep              leaves files, databases, and the servers that the demo has started, where they are
  --help              prints this

Exit code: 0 if the books balance, 1 if not, 2 for a wrong option.`

/** @throws UsageError */
export function readOptions(args: readonly string[]): DemoOptions | 'help' {
  const { values } = parse(args)
  if (values.help === true) return 'help'
  const faults = values.faults ?? 'all'
  if (!isFaults(faults)) throw new UsageError(`--faults ${faults}: say ${FAULTS.join(', ')}`)
  const database = values.database ?? 'sqlite'
  if (!isLayout(database)) throw new UsageError(`--database ${database}: say ${LAYOUT_NAMES.join(', ')}`)
  return {
    orders: wholeNumber('--orders', values.orders, 1, 100_000) ?? 500,
    seed: wholeNumber('--seed', values.seed, 0, 2 ** 32 - 1) ?? Math.floor(Math.random() * 1_000_000),
    data: values.data === undefined ? undefined : emptyFolder(values.data),
    faults,
    keep: values.keep ?? false,
    database,
    postgres: serverOf('postgres', values.postgres, database),
    mysql: serverOf('mysql', values.mysql, database),
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        orders: { type: 'string' },
        seed: { type: 'string' },
        faults: { type: 'string' },
        database: { type: 'string' },
        postgres: { type: 'string' },
        mysql: { type: 'string' },
        data: { type: 'string' },
        keep: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error })
  }
}

function isFaults(text: string): text is Faults {
  return (FAULTS as readonly string[]).includes(text)
}

function wholeNumber(option: string, text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= min && value <= max) return value
  throw new UsageError(`${option} ${text}: must be a whole number from ${min} to ${max}`)
}

function serverOf(kind: ServerKind, url: string | undefined, layout: LayoutName): string | undefined {
  if (url === undefined) return undefined
  if (!Object.values(LAYOUTS[layout]).includes(kind)) {
    throw new UsageError(`--${kind}: no service is on such a database with --database ${layout}`)
  }
  if (!URL.canParse(url) || placeOf(url).database !== kind) {
    // It is not repeated: there may be a password in it.
    throw new UsageError(`--${kind}: must be a connection string, ${kind}://USER:PASSWORD@HOST:PORT`)
  }
  return placeOf(url).url
}

/** The books are those of one run, so nothing of another may be there. */
function emptyFolder(folder: string): string {
  const path = resolve(folder)
  if (!existsSync(path)) return path
  let entries: string[]
  try {
    entries = readdirSync(path)
  } catch {
    throw new UsageError(`--data ${folder}: is not a folder`)
  }
  if (entries.length === 0) return path
  throw new UsageError(
    `--data ${folder}: is not empty, and the books are those of one run; name a folder that is empty or does not exist`,
  )
}
