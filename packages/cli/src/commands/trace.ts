import type { Command } from 'commander'
import type { TraceNode, TracePlace, TraceView } from 'tandem/admin'
import { leaf, type Run } from '../command.ts'
import type { Style } from '../render/style.ts'
import { safe } from '../render/text.ts'

export function traceCommand(parent: Command, run: Run): void {
  leaf(
    parent,
    'trace',
    {
      summary: 'what became of a message, and what it caused',
      details:
        'Looks into the stores of all services of the configuration, and into their brokers where these can be looked into.',
      examples: [
        ['tandem trace <id>', 'as a tree'],
        ['tandem trace <id> --json', 'with every attempt and its stack'],
      ],
    },
    run,
    (command) => command.argument('<id>', 'id of the message'),
    async ({ args: [id = ''], admin }) => {
      const view = await admin.trace(id)
      return { data: view, text: (style) => traceText(view, style), failed: view.unavailable.length > 0 }
    },
  )
}

function traceText(view: TraceView, style: Style): string {
  const { root, messages, truncated, unavailable } = view
  const lines: string[] = []
  if (root.causationId !== null) lines.push(style.dim(`caused by ${safe(root.causationId)}`))
  lines.push(...nodeLines(root, '', '', style))
  if (truncated) lines.push(style.warn(`There is more than these ${messages} messages.`))
  for (const { service, part, problem } of unavailable) {
    lines.push(style.bad(safe(`the ${part} of ${service} could not be asked: ${problem.message} (${problem.code})`)))
  }
  return lines.join('\n')
}

/** A message, where it is, and under it those that it caused. */
function nodeLines(node: TraceNode, first: string, rest: string, style: Style): string[] {
  const key = node.key === null ? '' : `  key ${safe(node.key)}`
  const head = `${style.bold(safe(node.type ?? 'a message whose own records are gone'))}  ${safe(node.id)}${key}`
  const stem = node.caused.length > 0 ? '│ ' : '  '
  const lines = [`${first}${head}`]
  if (node.sentAt !== null) lines.push(`${rest}${stem}sent by ${safe(node.source ?? '?')} at ${node.sentAt}`)
  for (const place of node.places) lines.push(...placeLines(place, style).map((line) => `${rest}${stem}${line}`))
  for (const [i, child] of node.caused.entries()) {
    const last = i === node.caused.length - 1
    lines.push(...nodeLines(child, `${rest}${last ? '└─ ' : '├─ '}`, `${rest}${last ? '   ' : '│  '}`, style))
  }
  return lines
}

function placeLines(place: TracePlace, style: Style): string[] {
  switch (place.kind) {
    case 'half':
      return [`${place.service}: half message ${paint(place.state, style)} at ${place.at}`]
    case 'outbox': {
      const error = place.error === null ? '' : `, ${safe(place.error)}`
      return [`${place.service}: in the outbox, ${paint(place.state, style)} since ${place.at}${error}`]
    }
    case 'broker': {
      const groups = place.groups.map(({ group, passed }) => `${passed ? 'taken' : 'not yet taken'} by ${safe(group)}`)
      const who = groups.length === 0 ? 'no group knows the topic' : groups.join(', ')
      return [`${safe(place.broker)}: published at ${place.at}; ${who}`]
    }
    case 'inbox': {
      const tries = place.attempts.length
      const failed = tries === 0 ? '' : ` after ${tries} failed ${tries === 1 ? 'attempt' : 'attempts'}`
      const last = place.attempts.at(-1)
      return [
        `${place.service}: group ${safe(place.group)}, ${paint(place.state, style)}${failed} at ${place.at}`,
        ...(last === undefined ? [] : [`  attempt ${last.attempt} at ${last.at}: ${safe(last.error)}`]),
      ]
    }
  }
}

function paint(state: string, style: Style): string {
  if (state === 'dead' || state === 'undecided' || state === 'unsendable') return style.bad(state)
  return state === 'handled' ? style.good(state) : state
}
