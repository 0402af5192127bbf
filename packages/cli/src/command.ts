import { InvalidArgumentError, Option, type Command } from 'commander'
import type { Act, Admin } from 'tandem/admin'
import { loadAdmin } from './config.ts'
import { errorLines, EXIT_FAILED, EXIT_OK, EXIT_USAGE, UsageError, viewError } from './errors.ts'
import type { Io } from './io.ts'
import { styleFor, type Style } from './render/style.ts'
import { jsonText } from './render/text.ts'

/** What a command has to say. */
export interface Outcome {
  /** The document that `--json` prints. */
  readonly data: unknown
  /** The same for a person. */
  readonly text: (style: Style) => string
  /** A hint for a person that is no part of the answer; goes to standard error. */
  readonly hint?: string | undefined
  /** Whether an act did not do what was asked: exit code 1. */
  readonly failed?: boolean
}

export interface CommonOptions {
  readonly json?: boolean
  readonly config?: string
  readonly service?: string
  readonly verbose?: boolean
}

export interface Call<Options> {
  readonly args: readonly string[]
  readonly options: Options & CommonOptions
  readonly admin: Admin
  readonly io: Io
}

/** One run of the program: where it writes, and how it ended. */
export interface Run {
  readonly io: Io
  exitCode: number
}

export interface CommandText {
  readonly summary: string
  /** More than the summary says, for its own help. */
  readonly details?: string
  /** What to type, and what it does or when it is of use. */
  readonly examples: readonly (readonly [line: string, what: string])[]
}

/** A command that does something, with the options that all of them have. */
export function leaf<Options>(
  parent: Command,
  usage: string,
  text: CommandText,
  run: Run,
  declare: (command: Command) => Command,
  act: (call: Call<Options>) => Promise<Outcome>,
): void {
  const command = parent.command(usage).summary(text.summary)
  const first = `${sentence(text.summary)}.`
  command.description(text.details === undefined ? first : `${first}\n\n${text.details}`)
  declare(command)
    .option('--service <name>', 'the service, where the configuration has several')
    .option('--config <file>', 'the configuration (default: the nearest tandem.config.ts, .js or .mjs upwards)')
    .option('--json', 'print one JSON document')
    .option('--verbose', 'with an error, print its stack and causes')
    .addHelpText('after', examplesText(text.examples))
    .action(async () => {
      const options = command.opts<Options & CommonOptions>()
      run.exitCode = await perform(run.io, command.processedArgs.flat().filter(isText), options, act)
    })
}

async function perform<Options>(
  io: Io,
  args: readonly string[],
  options: Options & CommonOptions,
  act: (call: Call<Options>) => Promise<Outcome>,
): Promise<number> {
  let admin: Admin | undefined
  try {
    admin = await loadAdmin(io, options)
    const outcome = await act({ args, options, admin, io })
    io.stdout.write(options.json === true ? jsonText(outcome.data) : withNewline(outcome.text(styleFor(io))))
    if (outcome.hint !== undefined && options.json !== true) io.stderr.write(`${outcome.hint}\n`)
    return outcome.failed === true ? EXIT_FAILED : EXIT_OK
  } catch (error) {
    const verbose = options.verbose === true || (io.env['TANDEM_DEBUG'] ?? '') !== ''
    io.stderr.write(errorLines(error, verbose))
    if (options.json === true) io.stdout.write(jsonText({ error: viewError(error) }))
    return error instanceof UsageError ? EXIT_USAGE : EXIT_FAILED
  } finally {
    // What was done is done and told; an unclean end of a connection changes nothing about it.
    await admin?.close().catch((error: unknown) => io.stderr.write(errorLines(error, false)))
  }
}

function withNewline(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

/** A summary as the beginning of a sentence. */
export function sentence(summary: string): string {
  return summary.charAt(0).toUpperCase() + summary.slice(1)
}

export function examplesText(examples: CommandText['examples']): string {
  return `\nExamples:\n${examples.map(([line, what]) => `  # ${what}\n  ${line}`).join('\n')}`
}

// ── options that several commands share ─────────────────────────────────────────────────────────────────────────────────────────

export interface PageOptions {
  readonly limit: number
  readonly cursor?: string
}

export function withPage(command: Command): Command {
  return command
    .addOption(new Option('--limit <n>', 'rows at most, up to 1000').default(50).argParser(wholeNumber(1, 1000)))
    .option('--cursor <cursor>', 'go on after a page that ended with this cursor')
}

export interface ActorOptions {
  readonly by?: string
  readonly reason?: string
}

export function withActor(command: Command): Command {
  return command
    .option('--by <name>', 'who acts, for the audit trail (default: the user of the operating system)')
    .option('--reason <text>', 'why, for the audit trail')
}

export function actOf(io: Io, { by = io.user, reason }: ActorOptions): Act {
  return reason === undefined ? { by } : { by, reason }
}

/** What to say of a list that goes on. */
export function nextHint(next: string | null): string | undefined {
  return next === null ? undefined : `There is more: --cursor ${next}`
}

export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= min && value <= max) return value
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`)
  }
}

export function positiveNumber(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && Number.isFinite(value) && value > 0) return value
  throw new InvalidArgumentError('It must be a number above 0.')
}
