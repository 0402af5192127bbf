import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Admin, DeadLetterReport, DeadLetterView, SettledRef } from 'tandem/admin'
import {
  actOf,
  leaf,
  positiveNumber,
  withActor,
  type ActorOptions,
  type Call,
  type Outcome,
  type Run,
} from '../command.ts'
import { confirm } from '../confirm.ts'
import { Declined, UsageError } from '../errors.ts'
import { progress } from '../progress.ts'
import { safe } from '../render/text.ts'
import { filtersGiven, locate, searchOf, withFilter, type FilterOptions } from './dead-letter-refs.ts'
import { resultsText } from './results.ts'

interface ActOptions extends FilterOptions, ActorOptions {
  readonly all?: boolean
  readonly rate?: number
  readonly dryRun?: boolean
  readonly yes?: boolean
}

interface EditOptions extends FilterOptions, ActorOptions {
  readonly payload?: string
  readonly file?: string
}

export function deadLetterActs(parent: Command, run: Run): void {
  leaf<EditOptions>(
    parent,
    'edit',
    {
      summary: 'replace the payload of a dead letter; the original is kept',
      details:
        'Without --payload or --file, an editor opens (VISUAL or EDITOR). A ••• in the place of a sensitive value leaves that value\n' +
        'as it is. Replay the message afterwards.',
      examples: [
        ['tandem dead-letters edit <id>', 'in the editor'],
        ['tandem dead-letters edit <id> --file fixed.json --reason "wrong sku"', 'from a file'],
      ],
    },
    run,
    (command) =>
      withActor(
        command
          .argument('<id>', 'id of the message')
          .option('--group <group>', 'the consumer group, where several have the message')
          .option('--payload <json>', 'the new payload')
          .option('--file <file>', 'a file with the new payload; - for standard input'),
      ),
    async (call) => {
      const {
        args: [id = ''],
        options,
        admin,
        io,
      } = call
      const ref = await locate(admin, id, options)
      const payload = await newPayload(call, ref)
      const detail = await admin.deadLetters.edit(ref, payload, actOf(io, options))
      const done = `The payload of ${id} in group ${ref.group} of ${ref.service} is replaced; the original is kept.`
      return { data: detail, text: () => `${safe(done)}\nReplay it with: tandem dead-letters replay ${safe(id)}` }
    },
  )

  leaf<ActOptions>(
    parent,
    'replay',
    {
      summary: 'handle dead letters again, each with its id, key and place',
      details:
        'Takes ids, or a filter. A filter is resolved to a fixed list first, and you are asked before more is replayed than you named.',
      examples: [
        ['tandem dead-letters replay <id>', 'one'],
        ['tandem dead-letters replay --type orders.placed --error timeout --dry-run', 'which would it be'],
        [
          'tandem dead-letters replay --group stock --rate 20 --yes',
          'all of a group, 20 a second, without being asked',
        ],
      ],
    },
    run,
    (command) => withSelection(command),
    (call) => act(call, 'replay'),
  )

  leaf<ActOptions>(
    parent,
    'discard',
    {
      summary: 'give dead letters up; the next messages of their keys go on',
      examples: [
        ['tandem dead-letters discard <id> --reason "order 17 was cancelled"', 'when it must not be handled any more'],
        ['tandem dead-letters discard --type orders.test --yes', 'all of a type, without being asked'],
      ],
    },
    run,
    (command) => withSelection(command),
    (call) => act(call, 'discard'),
  )
}

function withSelection(command: Command): Command {
  const filtered = withFilter(command.argument('[id...]', 'ids of messages'))
  return withActor(
    filtered
      .option('--all', 'every dead letter')
      .option('--rate <n>', 'at most so many a second', positiveNumber)
      .option('--dry-run', 'change nothing; say which it would be')
      .option('--yes', 'do not ask before it is done'),
  )
}

async function act(call: Call<ActOptions>, action: 'replay' | 'discard'): Promise<Outcome> {
  const { args, options, admin, io } = call
  const selected = await select(admin, args, options)
  const { dryRun = false, rate } = options
  // What was named one by one can be replayed without a question; a replay does no harm.
  const mayAct = dryRun || selected.refs.length === 0 || (action === 'replay' && args.length > 0)
  if (!mayAct) {
    const count = `${selected.refs.length} dead ${selected.refs.length === 1 ? 'letter' : 'letters'}`
    const what = action === 'replay' ? `${count} will be handled again.` : `${count} will never be handled.`
    await confirm(io, { what, items: selected.items, yes: options.yes })
  }
  return io.interruptible(async (signal) => {
    const { step, end } = progress(io, selected.refs.length)
    try {
      const how = { dryRun, rate, signal, onResult: step }
      return outcomeOf(await admin.deadLetters[action]({ refs: selected.refs }, actOf(io, options), how))
    } finally {
      end()
    }
  })
}

/** The frozen list that the act is for: the very one that a person is asked about. */
async function select(
  admin: Admin,
  ids: readonly string[],
  options: Call<ActOptions>['options'],
): Promise<{ refs: readonly SettledRef[]; items: readonly string[] }> {
  if (ids.length > 0) {
    const extra = [...filtersGiven(options), ...(options.all === true ? ['--all'] : [])]
    if (extra.length > 0) throw new UsageError(`ids and ${extra.join(', ')} exclude each other; give one or the other`)
    const refs: SettledRef[] = []
    for (const id of ids) refs.push(await locate(admin, id, options))
    return { refs, items: refs.map(({ id, group, service }) => `${id} in group ${group} of ${service}`) }
  }
  if (filtersGiven(options).length === 0 && options.group === undefined && options.all !== true) {
    throw new UsageError('name ids, or a filter, or --all')
  }
  const rows = await admin.deadLetters.resolve({ filter: searchOf(options), all: options.all === true })
  return { refs: rows.map(({ service, group, id }) => ({ service, group, id })), items: rows.map(rowText) }
}

function rowText({ id, type, group, service, error }: DeadLetterView): string {
  return `${id} ${type} in group ${group} of ${service}: ${error}`
}

function outcomeOf(report: DeadLetterReport): Outcome {
  const done = report.action === 'replay' ? 'replayed' : 'discarded'
  const wanted = report.dryRun ? `would-${report.action}` : done
  return {
    data: report,
    text: (style) => {
      if (report.results.length === 0) return 'No dead letter matches.'
      const rows = report.results.map(({ id, group, outcome, state }) => ({
        name: `${id} ${group}`,
        outcome,
        note: state === null ? '' : `it is ${state}`,
      }))
      return resultsText(rows, report.dryRun ? '' : wanted, report.stopped, style)
    },
    failed: report.results.some(({ outcome }) => outcome !== wanted),
  }
}

async function newPayload({ options, admin, io }: Call<EditOptions>, ref: SettledRef): Promise<string> {
  const { payload, file } = options
  if (payload !== undefined && file !== undefined) throw new UsageError('--payload and --file exclude each other')
  if (payload !== undefined) return payload
  if (file === '-') return io.readInput()
  if (file !== undefined) return readPayloadFile(resolve(io.cwd, file), file)
  if (io.edit === undefined) throw new UsageError('there is nobody to edit: give --payload or --file')
  const { payload: current } = await admin.deadLetters.show(ref)
  const before = current.kind === 'json' ? `${JSON.stringify(current.value, null, 2)}\n` : ''
  const after = await io.edit(before)
  if (after.trim() === before.trim()) throw new Declined('the payload is the same as before; nothing was done')
  return after
}

async function readPayloadFile(path: string, given: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new UsageError(`--file ${given}: ${(error as NodeJS.ErrnoException).code ?? 'unreadable'}`, { cause: error })
  }
}
