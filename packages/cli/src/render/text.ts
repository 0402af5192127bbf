// What a message says must not be able to move the cursor, change colours or reorder what a person reads: C0, DEL, C1, and the
// characters that break lines or turn the writing direction.
// eslint-disable-next-line no-control-regex -- control characters are just what this looks for
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g
const NAMES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** `text` on one line, with control characters made visible. For everything that did not come from this program. */
export function safe(text: string): string {
  return text.replaceAll(UNSAFE, (char) => NAMES[char] ?? escapeOf(char))
}

/** As `safe`, for text of several lines. */
export function safeLines(text: string): string[] {
  return text.split(/\r?\n/).map(safe)
}

/** One JSON document. What a terminal could obey is escaped, which JSON allows in any string. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2).replaceAll(UNSAFE, (char) => (char === '\n' ? char : escapeOf(char)))}\n`
}

function escapeOf(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
}

// Characters that take two columns of a terminal: CJK, Hangul, full-width forms, emoji.
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u
const MARK = /\p{Mark}/u

/** The columns that `text` takes on a terminal. */
export function width(text: string): number {
  let columns = 0
  for (const char of text) columns += MARK.test(char) ? 0 : WIDE.test(char) ? 2 : 1
  return columns
}

/** `text` cut to so many columns. */
export function cut(text: string, columns: number): string {
  if (width(text) <= columns) return text
  let result = ''
  let left = columns - 1
  for (const char of text) {
    left -= width(char)
    if (left < 0) break
    result += char
  }
  return `${result}…`
}
