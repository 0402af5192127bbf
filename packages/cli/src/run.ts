import { CommanderError } from 'commander'
import type { Run } from './command.ts'
import { errorLines, EXIT_FAILED, EXIT_OK, EXIT_USAGE, viewError } from './errors.ts'
import type { Io } from './io.ts'
import { program } from './program.ts'
import { jsonText } from './render/text.ts'

/**
 * Runs the command.
 *
 * @param argv what follows `tandem` on the command line
 * @returns the exit code: 0 for success, 1 for an error or an act that did not do what was asked, 2 for wrong usage
 */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const state: Run = { io, exitCode: EXIT_OK }
  try {
    await program(state).parseAsync(argv, { from: 'user' })
    return state.exitCode
  } catch (error) {
    const json = argv.includes('--json')
    if (error instanceof CommanderError) {
      // Commander has said it on standard error. Help that was asked for ends with 0.
      if (error.exitCode === 0) return EXIT_OK
      const message = error.message.replace(/^error: /, '')
      if (json) io.stdout.write(jsonText({ error: { code: 'USAGE', message } }))
      return EXIT_USAGE
    }
    io.stderr.write(errorLines(error, argv.includes('--verbose')))
    if (json) io.stdout.write(jsonText({ error: viewError(error) }))
    return EXIT_FAILED
  }
}
