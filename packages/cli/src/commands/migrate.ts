import { Option, type Command } from 'commander'
import type { MigrateView, SchemaView } from 'tandem/admin'
import { leaf, wholeNumber, type Run } from '../command.ts'
import { UsageError } from '../errors.ts'
import type { Style } from '../render/style.ts'
import { safe } from '../render/text.ts'

interface Options {
  readonly status?: boolean
  readonly sql?: boolean
  readonly to?: number
}

export function migrateCommand(parent: Command, run: Run): void {
  leaf<Options>(
    parent,
    'migrate',
    {
      summary: 'make or update the tables that Tandem needs',
      details:
        'Applies the migrations that are pending, in order. Several processes may do it at once: one applies, the others find it done.',
      examples: [
        ['tandem migrate', 'apply what is pending'],
        ['tandem migrate --status', 'only say what is pending, and what differs'],
        ['tandem migrate --sql > tandem.sql', 'only print the pending SQL, for whoever may change the database'],
        ['tandem migrate --to 2 --service order', 'apply what is pending up to migration 2; there is no way back'],
      ],
    },
    run,
    (command) =>
      command
        .option('--status', 'change nothing; say which migrations are pending and what differs')
        .option('--sql', 'change nothing; print the SQL of the pending migrations')
        .addOption(new Option('--to <n>', 'only up to this migration; forward only').argParser(wholeNumber(1, 9999))),
    async ({ options, admin }) => {
      if (options.status === true && options.sql === true) throw new UsageError('--status and --sql exclude each other')
      const { to } = options
      if (options.status === true && to !== undefined) throw new UsageError('--status and --to exclude each other')
      if (options.status !== true && options.sql !== true) {
        const services = await admin.schema.migrate(options.service, { to })
        return { data: { services }, text: (style) => services.map((each) => appliedText(each, style)).join('\n') }
      }
      const all = await admin.schema.status(options.service)
      const services = to === undefined ? all : all.map((each) => upTo(each, to))
      const text = options.sql === true ? sqlText : statusText
      return { data: { services }, text: (style) => services.map((each) => text(each, style)).join('\n') }
    },
  )
}

/** With the pending migrations that come before a later one, or are it. */
function upTo(view: SchemaView, to: number): SchemaView {
  if (to > view.latest || to < view.version) {
    const { service, version, latest } = view
    throw new UsageError(`--to ${to}: ${service} has version ${version}, and migrations up to ${latest} are known`)
  }
  return { ...view, pending: view.pending.filter(({ version }) => version <= to) }
}

function appliedText(view: MigrateView, style: Style): string {
  const done = view.applied.map(({ version, name }) => `  applied ${version} ${safe(name)}`)
  const state = done.length === 0 ? 'was up to date' : 'is up to date'
  return [`${style.bold(view.service)}  ${state}, schema ${view.version}`, ...done, ...driftLines(view, style)].join(
    '\n',
  )
}

function statusText(view: SchemaView, style: Style): string {
  const head = `${style.bold(view.service)}  schema ${view.version} of ${view.latest} (${safe(view.store)})`
  const pending = view.pending.map(({ version, name }) => style.warn(`  pending ${version} ${safe(name)}`))
  return [head, ...pending, ...driftLines(view, style)].join('\n')
}

function sqlText({ service, pending }: SchemaView): string {
  if (pending.length === 0) return `-- ${service}: nothing is pending`
  return pending.map(({ version, name, sql }) => `-- ${service}: ${version} ${name}\n${sql.trimEnd()}`).join('\n\n')
}

function driftLines({ drift }: SchemaView, style: Style): string[] {
  return drift.map((each) => style.bad(`  differs: ${safe(each)}`))
}
