import type { Command } from 'commander'
import type { MigrateView, SchemaView } from 'tandem/admin'
import { leaf, type Run } from '../command.ts'
import { UsageError } from '../errors.ts'
import type { Style } from '../render/style.ts'
import { safe } from '../render/text.ts'

interface Options {
  readonly status?: boolean
  readonly sql?: boolean
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
      ],
    },
    run,
    (command) =>
      command
        .option('--status', 'change nothing; say which migrations are pending and what differs')
        .option('--sql', 'change nothing; print the SQL of the pending migrations'),
    async ({ options, admin }) => {
      if (options.status === true && options.sql === true) throw new UsageError('--status and --sql exclude each other')
      if (options.status !== true && options.sql !== true) {
        const services = await admin.schema.migrate(options.service)
        return { data: { services }, text: (style) => services.map((each) => appliedText(each, style)).join('\n') }
      }
      const services = await admin.schema.status(options.service)
      const text = options.sql === true ? sqlText : statusText
      return { data: { services }, text: (style) => services.map((each) => text(each, style)).join('\n') }
    },
  )
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
