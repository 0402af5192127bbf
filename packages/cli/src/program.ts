import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { examplesText, sentence, type Run } from './command.ts'
import { auditCommand } from './commands/audit.ts'
import { deadLetterActs } from './commands/dead-letter-acts.ts'
import { deadLetterViews } from './commands/dead-letter-views.ts'
import { halfCommands } from './commands/half.ts'
import { migrateCommand } from './commands/migrate.ts'
import { outboxCommands } from './commands/outbox.ts'
import { statusCommand } from './commands/status.ts'
import { traceCommand } from './commands/trace.ts'
import { safeLines } from './render/text.ts'

/** The whole command line. Made anew for each run, as commander keeps the options of the last one. */
export function program(run: Run): Command {
  const { io } = run
  const root = new Command('tandem')
    .description('Look into the services that run on Tandem, and decide what waits for a person.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      // It quotes what was typed.
      writeErr: (text) => io.stderr.write(safeLines(text).join('\n')),
      getOutHelpWidth: () => io.stdout.columns ?? 100,
      getErrHelpWidth: () => io.stderr.columns ?? 100,
    })
    .showHelpAfterError('(add --help for the options and examples)')
    .addHelpText(
      'after',
      examplesText([
        ['tandem status', 'what is unsent, undecided, retrying and dead'],
        ['tandem dead-letters groups', 'which errors the dead letters have'],
        ['tandem trace <id>', 'what became of a message'],
      ]),
    )

  const group = (name: string, summary: string): Command =>
    root
      .command(name)
      .summary(summary)
      .description(`${sentence(summary)}.`)
  migrateCommand(root, run)
  statusCommand(root, run)
  const deadLetters = group('dead-letters', 'messages that a consumer group has given up on')
  deadLetterViews(deadLetters, run)
  deadLetterActs(deadLetters, run)
  halfCommands(group('half', 'half messages: prepared, waiting for commit or rollback'), run)
  outboxCommands(group('outbox', 'messages that are kept back in the outbox'), run)
  traceCommand(root, run)
  auditCommand(root, run)
  return root
}

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
