import type { Command } from 'commander'
import type { DeadLetterDetailView, DeadLetterGroupView, DeadLetterView, PayloadView } from 'tandem/admin'
import { leaf, nextHint, withPage, type PageOptions, type Run } from '../command.ts'
import type { Style } from '../render/style.ts'
import { fields, table, type Column } from '../render/table.ts'
import { safe, safeLines } from '../render/text.ts'
import { age } from '../render/time.ts'
import { locate, searchOf, withFilter, type FilterOptions } from './dead-letter-refs.ts'

export function deadLetterViews(parent: Command, run: Run): void {
  leaf<FilterOptions & PageOptions>(
    parent,
    'list',
    {
      summary: 'dead letters, the newest first',
      examples: [
        ['tandem dead-letters list', 'the last 50'],
        ['tandem dead-letters list --group stock --error timeout', 'of one group, with an error'],
        ["tandem dead-letters list --json | jq -r '.items[].id'", 'for a script'],
      ],
    },
    run,
    (command) => withPage(withFilter(command)),
    async ({ options, admin }) => {
      const { limit, cursor } = options
      const page = await admin.deadLetters.list(searchOf(options), { limit, cursor })
      const columns = admin.services.length > 1 ? [serviceColumn, ...listColumns] : listColumns
      return {
        data: page,
        text: (style) => (page.items.length === 0 ? 'No dead letters.' : table(page.items, columns, style)),
        hint: nextHint(page.next),
      }
    },
  )

  leaf<FilterOptions>(
    parent,
    'groups',
    {
      summary: 'dead letters by consumer group, type and error, the largest first',
      examples: [['tandem dead-letters groups', 'what to look into first']],
    },
    run,
    withFilter,
    async ({ options, admin }) => {
      const items = await admin.deadLetters.groups(searchOf(options))
      return {
        data: { items },
        text: (style) => (items.length === 0 ? 'No dead letters.' : table(items, groupColumns, style)),
      }
    },
  )

  leaf<FilterOptions>(
    parent,
    'show',
    {
      summary: 'one dead letter with its payload and every attempt',
      examples: [
        ['tandem dead-letters show <id>', 'why it is dead'],
        ['tandem dead-letters show <id> --group stock', 'when several groups have it'],
      ],
    },
    run,
    (command) =>
      command
        .argument('<id>', 'id of the message')
        .option('--group <group>', 'the consumer group, where several have the message'),
    async ({ args: [id = ''], options, admin }) => {
      const detail = await admin.deadLetters.show(await locate(admin, id, options))
      return { data: detail, text: (style) => detailText(detail, style) }
    },
  )
}

const serviceColumn: Column<DeadLetterView> = { title: 'SERVICE', cell: ({ service }) => service }

const listColumns: readonly Column<DeadLetterView>[] = [
  { title: 'AGE', cell: ({ diedAt }, { now }) => age(diedAt, now), right: true },
  { title: 'GROUP', cell: ({ group }) => group },
  { title: 'TYPE', cell: ({ type }) => type },
  { title: 'KEY', cell: ({ key }) => key ?? '', optional: true },
  { title: 'REASON', cell: ({ reason }) => reason },
  { title: 'ATTEMPTS', cell: ({ attempts }) => String(attempts), right: true },
  { title: 'BLOCKING', cell: ({ blocking }) => (blocking === 0 ? '' : String(blocking)), right: true, optional: true },
  { title: 'ID', cell: ({ id }) => id },
  { title: 'ERROR', cell: ({ error }) => error },
]

const groupColumns: readonly Column<DeadLetterGroupView>[] = [
  { title: 'COUNT', cell: ({ count }) => String(count), right: true },
  { title: 'SERVICE', cell: ({ service }) => service },
  { title: 'GROUP', cell: ({ group }) => group },
  { title: 'TYPE', cell: ({ type }) => type },
  { title: 'OLDEST', cell: ({ oldest }, { now }) => age(oldest, now), right: true },
  { title: 'NEWEST', cell: ({ newest }, { now }) => age(newest, now), right: true },
  { title: 'ERROR', cell: ({ error }) => error },
]

function detailText(detail: DeadLetterDetailView, style: Style): string {
  const { now } = style
  const lines = [
    style.bold(`Dead letter ${safe(detail.id)}`),
    fields(
      [
        ['service', detail.service],
        ['group', detail.group],
        ['type', safe(detail.type)],
        ['topic', detail.topic === detail.type ? undefined : safe(detail.topic)],
        ['key', detail.key === null ? undefined : safe(detail.key)],
        ['sent', `by ${safe(detail.source)} at ${detail.sentAt}, ${age(detail.sentAt, now)} ago`],
        ['died', `at ${detail.diedAt}, ${age(detail.diedAt, now)} ago`],
        ['reason', `${detail.reason}, after ${detail.attempts} ${detail.attempts === 1 ? 'attempt' : 'attempts'}`],
        ['error', style.bad(safe(detail.error))],
        ['blocking', detail.blocking === 0 ? undefined : `${detail.blocking} later messages of its key`],
      ],
      style,
    ),
    ...payloadLines('Payload', detail.payload, style),
    ...(detail.originalPayload === null ? [] : payloadLines('Payload as it arrived', detail.originalPayload, style)),
    style.bold('Headers'),
    fields(
      Object.entries(detail.headers).map(([name, value]) => [safe(name), safe(value)] as const),
      style,
    ),
    style.bold('Attempts'),
  ]
  for (const attempt of detail.history) {
    lines.push(`  ${attempt.attempt}  ${attempt.at}  ${safe(attempt.process)}  ${safe(attempt.error)}`)
  }
  // The stacks of the attempts are mostly the same; --json has them all.
  const last = detail.history.at(-1)
  if (last !== undefined && last.stack !== '')
    lines.push(...safeLines(last.stack).map((line) => style.dim(`     ${line}`)))
  return lines.join('\n')
}

function payloadLines(title: string, payload: PayloadView, style: Style): string[] {
  const head = `${style.bold(title)}  ${safe(payload.contentType)}, ${payload.bytes} bytes`
  if (payload.kind === 'opaque') return [`${head}; ${payload.why}`]
  const masked = payload.masked.map((path) => (path === '' ? 'everything' : safe(path)))
  return [
    masked.length === 0 ? head : `${head}; masked: ${masked.join(', ')}`,
    ...safeLines(JSON.stringify(payload.value, null, 2)).map((line) => `  ${line}`),
  ]
}
