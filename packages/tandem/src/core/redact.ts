import { inspect } from 'node:util'

/** What stands in the place of a sensitive value. */
export const MASK = '•••'

/**
 * A copy of `payload` in which the values at the sensitive paths are masked. A path that is empty masks everything; `items.card` also
 * reaches into every element of an array `items`. A value that stands where the path goes on is masked as well: a payload of another shape
 * than its schema says is just what people get to see.
 */
export function redact(payload: unknown, paths: readonly string[]): unknown {
  if (paths.length === 0) return payload
  if (paths.includes('')) return MASK
  return paths.reduce((value, path) => maskAt(value, path.split('.')), payload)
}

/** `text` (an error's message or stack) without the values that the payload has at its sensitive paths. */
export function redactText(text: string, payload: unknown, paths: readonly string[]): string {
  if (paths.length === 0) return text
  const secrets = paths.flatMap((path) => valuesAt(payload, path === '' ? [] : path.split('.')))
  // The longest first, so that a secret inside another leaves nothing behind.
  const texts = [...new Set(secrets.flatMap(leafTexts))].toSorted((a, b) => b.length - a.length)
  return texts.reduce((result, secret) => result.replaceAll(secret, MASK), text)
}

function maskAt(value: unknown, path: readonly string[]): unknown {
  const [step, ...rest] = path
  if (step === undefined) return value === undefined ? undefined : MASK
  if (Array.isArray(value)) return value.map((item) => maskAt(item, path))
  if (value === null || value === undefined) return value
  if (typeof value !== 'object') return MASK
  if (!Object.hasOwn(value, step)) return value
  return { ...value, [step]: maskAt((value as Record<string, unknown>)[step], rest) }
}

function valuesAt(value: unknown, path: readonly string[]): unknown[] {
  const [step, ...rest] = path
  if (step === undefined) return value === undefined ? [] : [value]
  if (Array.isArray(value)) return value.flatMap((item) => valuesAt(item, path))
  if (value === null || value === undefined) return []
  if (typeof value !== 'object') return [value]
  if (!Object.hasOwn(value, step)) return []
  return valuesAt((value as Record<string, unknown>)[step], rest)
}

/** The strings and numbers inside a value; those of one or two characters are left, as masking them would garble any text. */
function leafTexts(value: unknown): string[] {
  if (typeof value === 'string' || typeof value === 'number') return spellings(String(value))
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(leafTexts) : []
}

/** A text as errors may have it: as it is, and between quotes as JSON and `inspect` write it, which may break it into its lines. */
function spellings(text: string): string[] {
  const lines = text.split(/(?<=\n)/)
  return (lines.length > 1 ? [text, ...lines] : [text])
    .flatMap((part) => [
      part,
      part.trimEnd(),
      ...[JSON.stringify(part), inspect(part, { breakLength: Infinity })].map((it) => it.slice(1, -1)),
    ])
    .filter((part) => part.length > 2)
}
