import { Argument, Option, type Command } from 'commander'
import type { HalfDecision, HalfState, HalfView } from 'tandem/admin'
import {
  actOf,
  leaf,
  nextHint,
  withActor,
  withPage,
  type ActorOptions,
  type PageOptions,
  type Run,
} from '../command.ts'
import { confirm } from '../confirm.ts'
import { table, type Column } from '../render/table.ts'
import { age, until } from '../render/time.ts'

const STATES: readonly HalfState[] = ['prepared', 'undecided', 'committed', 'rolled-back']

export function halfCommands(parent: Command, run: Run): void {
  leaf<PageOptions & { readonly state?: HalfState }>(
    parent,
    'list',
    {
      summary: 'half messages and where they stand',
      examples: [
        ['tandem half list --state undecided', 'those that wait for a person'],
        ['tandem half list', 'all that are kept'],
      ],
    },
    run,
    (command) => withPage(command.addOption(new Option('--state <state>', 'only these').choices(STATES))),
    async ({ options, admin }) => {
      const { service, state, limit, cursor } = options
      const page = await admin.half.list({ service, state }, { limit, cursor })
      const columns = admin.services.length > 1 ? [serviceColumn, ...halfColumns] : halfColumns
      return {
        data: page,
        text: (style) => (page.items.length === 0 ? 'No half messages.' : table(page.items, columns, style)),
        hint: nextHint(page.next),
      }
    },
  )

  leaf<ActorOptions & { readonly yes?: boolean }>(
    parent,
    'decide',
    {
      summary: 'commit or roll back a half message in the place of its producer',
      details:
        'First find out whether the local transaction was committed: after a rollback the message is gone, after a commit it is\n' +
        'delivered. Where the local transaction writes a barrier, a decision that the barrier contradicts is refused.',
      examples: [
        ['tandem half decide <id> commit --reason "order 17 is in the books"', 'after a look into the books'],
        ['tandem half decide <id> rollback --yes', 'without being asked'],
      ],
    },
    run,
    (command) =>
      withActor(
        command
          .argument('<id>', 'id of the message')
          .addArgument(new Argument('<decision>', 'what to decide').choices(['commit', 'rollback']))
          .option('--yes', 'do not ask before a rollback'),
      ),
    async ({ args: [id = '', decision], options, admin, io }) => {
      if (decision === 'rollback') {
        const row = await admin.half.show(id, options.service).catch(() => undefined)
        const what = `The half message ${id} will be rolled back; it is never delivered then.`
        const items =
          row === undefined ? [] : [`${row.type}, ${row.state}, prepared ${age(row.preparedAt, io.now())} ago`]
        await confirm(io, { what, items, yes: options.yes })
      }
      const report = await admin.half.decide(id, decision as HalfDecision, actOf(io, options), options.service)
      const before = report.outcome === 'repeated' ? 'was already' : 'is now'
      return { data: report, text: () => `${report.service}: half message ${report.id} ${before} ${report.state}.` }
    },
  )
}

const serviceColumn: Column<HalfView> = { title: 'SERVICE', cell: ({ service }) => service }

const halfColumns: readonly Column<HalfView>[] = [
  { title: 'AGE', cell: ({ preparedAt }, { now }) => age(preparedAt, now), right: true },
  {
    title: 'STATE',
    cell: ({ state }) => state,
    paint: ({ state }, style) => (state === 'undecided' ? style.bad : undefined),
  },
  { title: 'TYPE', cell: ({ type }) => type },
  { title: 'KEY', cell: ({ key }) => key ?? '', optional: true },
  { title: 'BARRIER', cell: ({ barrier }) => (barrier ? 'yes' : 'no') },
  { title: 'UNKNOWN', cell: ({ answered }) => String(answered), right: true },
  {
    title: 'NEXT CHECK',
    cell: ({ nextCheckAt }, { now }) => (nextCheckAt === null ? '' : until(nextCheckAt, now)),
    optional: true,
  },
  { title: 'ID', cell: ({ id }) => id },
  { title: 'ERROR', cell: ({ lastError }) => lastError ?? '', optional: true },
]
