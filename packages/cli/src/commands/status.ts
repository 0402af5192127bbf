import type { Command } from 'commander'
import type { OverviewView, ServiceStatus } from 'tandem/admin'
import { leaf, type Run } from '../command.ts'
import type { Style } from '../render/style.ts'
import { bytes as inBytes } from '../render/bytes.ts'
import { fields, table, type Column } from '../render/table.ts'
import { safe } from '../render/text.ts'
import { age, duration } from '../render/time.ts'

export function statusCommand(parent: Command, run: Run): void {
  leaf(
    parent,
    'status',
    {
      summary: 'what is unsent, held, undecided, retrying, blocked and dead',
      details: 'Exits with 1 when a store cannot be asked or a broker is not well.',
      examples: [
        ['tandem status', 'all services of the configuration'],
        ['tandem status --service stock', 'one of them'],
        ["tandem status --json | jq '.services[].overview.inbox'", 'for a script'],
      ],
    },
    run,
    (command) => command,
    async ({ options, admin }) => {
      const services = await admin.status(options.service)
      return {
        data: { services },
        text: (style) => services.map((each) => serviceText(each, style)).join('\n\n'),
        failed: services.some(({ problem, broker }) => problem !== null || broker?.ok === false),
      }
    },
  )
}

function serviceText(status: ServiceStatus, style: Style): string {
  const { service, store, schema, overview, broker, problem } = status
  const version = schema === null ? '' : `, schema ${schema.version} of ${schema.latest}`
  const lines = [`${style.bold(service)}  ${safe(store)}${version}`]
  if (problem !== null) lines.push(`  ${style.bad(safe(`${problem.message} (${problem.code})`))}`)
  for (const each of schema?.drift ?? []) lines.push(style.bad(`  differs: ${safe(each)}`))
  const brokerText =
    broker === null
      ? undefined
      : `${safe(broker.name)}: ${broker.ok ? style.good('ok') : style.bad('not well')}${detailOf(broker)}`
  lines.push(
    overview === null
      ? fields([['broker', brokerText]], style)
      : fields(
          [
            ['outbox', outboxText(overview, style)],
            ['half', countsText(overview.half, ['prepared', 'undecided'], style, ['undecided']) || 'none open'],
            ['blocked keys', count(overview.blockedKeys, style.warn)],
            ['oldest', oldestText(overview)],
            ['size', sizeText(overview)],
            ['processes', processesText(overview, style)],
            ['broker', brokerText],
          ],
          style,
        ),
  )
  if (overview !== null && overview.inbox.length > 0) {
    lines.push('', indent(table(overview.inbox, inboxColumns, style)))
  }
  return lines.filter((line, i) => line !== '' || i > 0).join('\n')
}

function detailOf({ detail }: { readonly detail: string }): string {
  return detail === '' ? '' : `, ${safe(detail)}`
}

function outboxText({ outbox }: OverviewView, style: Style): string {
  const waiting = outbox.oldestAge === null ? '' : `, the oldest for ${duration(outbox.oldestAge)}`
  const held = countsText(outbox.held, ['delayed', 'waiting', 'behind', 'unsendable'], style, ['unsendable'])
  return `${outbox.unsent} unsent${waiting}${held === '' ? '' : `; held: ${held}`}`
}

const OLDEST = [
  ['retrying', 'retry'],
  ['half', 'half message'],
  ['dead', 'dead letter'],
  ['finished', 'finished row of the inbox'],
] as const

function oldestText({ oldest }: OverviewView): string | undefined {
  const ages = OLDEST.flatMap(([kind, name]) => (oldest[kind] === null ? [] : [`${name} ${duration(oldest[kind])}`]))
  return ages.length === 0 ? undefined : ages.join(', ')
}

/** As many tables as a line has room for; `--json` has them all. */
const LARGEST = 3

function sizeText({ size }: OverviewView): string {
  const weight = ({ rows, bytes }: OverviewView['size']['tables'][number]): number => bytes ?? rows
  const largest = size.tables
    .filter(({ rows }) => rows > 0)
    .toSorted((a, b) => weight(b) - weight(a))
    .slice(0, LARGEST)
    .map(({ name, rows, bytes }) => {
      const room = bytes === null ? '' : `, ${inBytes(bytes)}`
      return `${name} ${rows.toLocaleString('en-US')} ${rows === 1 ? 'row' : 'rows'}${room}`
    })
  const all = size.bytes === null ? [] : [inBytes(size.bytes)]
  return [...all, ...largest].join('; ') || 'nothing'
}

/** The counts that are not zero, by name; those in `alarming` stand out. */
function countsText<Name extends string>(
  counts: Readonly<Record<Name, number>>,
  names: readonly NoInfer<Name>[],
  style: Style,
  alarming: readonly string[],
): string {
  return names
    .filter((name) => counts[name] > 0)
    .map((name) => (alarming.includes(name) ? style.bad(`${counts[name]} ${name}`) : `${counts[name]} ${name}`))
    .join(', ')
}

function count(value: number, paint: (text: string) => string): string {
  return value === 0 ? '0' : paint(String(value))
}

function processesText({ processes, now }: OverviewView, style: Style): string {
  if (processes.length === 0) return 'none'
  return processes
    .map(({ host, pid, alive, seenAt, leases }) => {
      const seen = `seen ${age(seenAt, Date.parse(now))} ago`
      const what = alive ? style.good('alive') : style.warn('gone')
      return `${safe(host)}:${pid} ${what}, ${seen}, ${leases.length} ${leases.length === 1 ? 'lease' : 'leases'}`
    })
    .join('; ')
}

type InboxRow = OverviewView['inbox'][number]

const inboxColumns: readonly Column<InboxRow>[] = [
  { title: 'GROUP', cell: ({ group }) => group },
  { title: 'HANDLED', cell: ({ states }) => String(states.handled), right: true },
  { title: 'RETRYING', cell: ({ states }) => String(states.retrying), right: true },
  { title: 'BLOCKED', cell: ({ states }) => String(states.blocked), right: true },
  { title: 'DISCARDED', cell: ({ states }) => String(states.discarded), right: true },
  {
    title: 'DEAD',
    cell: ({ states }) => String(states.dead),
    paint: ({ states }, style) => (states.dead > 0 ? style.bad : undefined),
  },
]

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n')
}
