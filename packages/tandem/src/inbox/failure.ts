import { errorText } from '../core/errors.ts'
import { redactText } from '../core/redact.ts'
import { processName } from '../engine/runtime.ts'
import type { FailedAttempt, ProcessInfo } from '../spi/store.ts'
import type { Readable } from './incoming.ts'

/** Characters of an error's text and of its stack that the inbox keeps. */
const ERROR_LENGTH = 2000
const STACK_LENGTH = 8000

/** What the inbox records of a failed attempt: cut to its bound, without the values of sensitive fields. */
export function describeFailure(
  error: unknown,
  incoming: Readable<never> | Readable<unknown> | undefined,
  process: ProcessInfo,
): FailedAttempt {
  const paths =
    incoming === undefined ? [] : [...incoming.envelope.sensitive, ...incoming.registration.messageType.sensitive]
  const clean = (text: string, length: number): string =>
    cut(redactText(text, incoming?.message.payload, paths), length)
  return {
    error: clean(errorText(error), ERROR_LENGTH),
    stack: clean(stackOf(error), STACK_LENGTH),
    process: processName(process),
  }
}

/** The stack with those of its causes. Never throws, whatever a handler has thrown. */
function stackOf(error: unknown, depth = 0): string {
  try {
    if (!(error instanceof Error)) return ''
    const { stack, cause } = error as { readonly stack?: unknown; readonly cause?: unknown }
    const own = typeof stack === 'string' ? stack : errorText(error)
    return cause === undefined || depth >= 5
      ? own
      : `${own}\nCaused by: ${stackOf(cause, depth + 1) || errorText(cause)}`
  } catch {
    return ''
  }
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`
}
