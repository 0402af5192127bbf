import { Option, type Command } from 'commander'
import type { HeldReport, HeldState, HeldView } from 'tandem/admin'
import {
  actOf,
  leaf,
  nextHint,
  withActor,
  withPage,
  type ActorOptions,
  type Outcome,
  type PageOptions,
  type Run,
} from '../command.ts'
import { confirm } from '../confirm.ts'
import { table, type Column } from '../render/table.ts'
import { until } from '../render/time.ts'
import { resultsText } from './results.ts'

const STATES: readonly HeldState[] = ['delayed', 'waiting', 'behind', 'unsendable']

export function outboxCommands(parent: Command, run: Run): void {
  leaf<PageOptions & { readonly state?: HeldState }>(
    parent,
    'list',
    {
      summary: 'messages that are kept back',
      details:
        'delayed: its time has not come. waiting: publishing failed and is tried again. behind: waits for an earlier message of its\n' +
        'key. unsendable: can never be published as it is and waits for a person.',
      examples: [
        ['tandem outbox list --state unsendable', 'those that wait for a person'],
        ['tandem outbox list', 'all that are kept back'],
      ],
    },
    run,
    (command) => withPage(command.addOption(new Option('--state <state>', 'only these').choices(STATES))),
    async ({ options, admin }) => {
      const { service, state, limit, cursor } = options
      const page = await admin.outbox.held({ service, state }, { limit, cursor })
      const columns = admin.services.length > 1 ? [serviceColumn, ...heldColumns] : heldColumns
      return {
        data: page,
        text: (style) => (page.items.length === 0 ? 'Nothing is kept back.' : table(page.items, columns, style)),
        hint: nextHint(page.next),
      }
    },
  )

  leaf<ActorOptions>(
    parent,
    'retry',
    {
      summary: 'let unsendable or waiting messages be published again now',
      examples: [['tandem outbox retry <id>', 'after the cause is mended']],
    },
    run,
    (command) => withActor(command.argument('<id...>', 'ids of the messages')),
    async ({ args, options, admin, io }) =>
      io.interruptible(async (signal) =>
        outcomeOf(await admin.outbox.retry(args, actOf(io, options), { service: options.service, signal })),
      ),
  )

  leaf<ActorOptions & { readonly yes?: boolean }>(
    parent,
    'discard',
    {
      summary: 'give unsendable messages up; the next of their keys go on',
      examples: [['tandem outbox discard <id> --reason "sent by hand"', 'when nothing can mend it']],
    },
    run,
    (command) =>
      withActor(command.argument('<id...>', 'ids of the messages').option('--yes', 'do not ask before it is done')),
    async ({ args, options, admin, io }) => {
      const what = `${args.length} ${args.length === 1 ? 'message' : 'messages'} will never be published.`
      await confirm(io, { what, items: args, yes: options.yes })
      return io.interruptible(async (signal) =>
        outcomeOf(await admin.outbox.discard(args, actOf(io, options), { service: options.service, signal })),
      )
    },
  )
}

function outcomeOf(report: HeldReport): Outcome {
  const wanted = report.action === 'retry' ? 'retried' : 'discarded'
  return {
    data: report,
    text: (style) => {
      const rows = report.results.map(({ id, outcome }) => ({ name: id, outcome, note: NOTES[outcome] ?? '' }))
      return resultsText(rows, wanted, report.stopped, style)
    },
    failed: report.results.some(({ outcome }) => outcome !== wanted),
  }
}

const NOTES: Readonly<Record<string, string>> = { 'not-held': 'no outbox has it in a state that this is for' }

const serviceColumn: Column<HeldView> = { title: 'SERVICE', cell: ({ service }) => service }

const heldColumns: readonly Column<HeldView>[] = [
  {
    title: 'STATE',
    cell: ({ state }) => state,
    paint: ({ state }, style) => (state === 'unsendable' ? style.bad : undefined),
  },
  { title: 'DUE', cell: ({ dueAt }, { now }) => (dueAt === null ? '' : until(dueAt, now)), optional: true },
  { title: 'FAILED', cell: ({ attempts }) => String(attempts), right: true },
  { title: 'TYPE', cell: ({ type }) => type },
  { title: 'KEY', cell: ({ key }) => key ?? '', optional: true },
  { title: 'ID', cell: ({ id }) => id },
  { title: 'ERROR', cell: ({ error }) => error ?? '', optional: true },
]
