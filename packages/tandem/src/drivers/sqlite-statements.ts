/** What a statement does, as far as its first words tell. */
export type StatementKind = 'read' | 'write' | 'transaction' | 'savepoint' | 'other'

// A comment, a string or quoted name, a word, or any other character that is not white space.
const TOKEN =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'(?:[^']|'')*'?|"(?:[^"]|"")*"?|`(?:[^`]|``)*`?|\[[^\]]*\]?|[\w$\u0080-\uffff]+|\S/g

const READS = new Set(['SELECT', 'VALUES', 'EXPLAIN', 'PRAGMA'])
const WRITES = new Set(['INSERT', 'UPDATE', 'DELETE', 'REPLACE'])

/** The kind of each statement of `sql`, in order. Empty statements are left out. */
export function statementKinds(sql: string): StatementKind[] {
  const kinds: StatementKind[] = []
  let words: string[] = []
  const end = (): void => {
    if (words.length > 0) kinds.push(kindOf(words))
    words = []
  }
  for (const [token] of sql.matchAll(TOKEN)) {
    if (token.startsWith('--') || token.startsWith('/*')) continue
    if (token === ';' && isComplete(words)) end()
    else words.push(token.toUpperCase())
  }
  end()
  return kinds
}

/** Whether a semicolon after these words ends the statement; it does not in the body of a trigger. */
function isComplete(words: readonly string[]): boolean {
  const what = words[1] === 'TEMP' || words[1] === 'TEMPORARY' ? words[2] : words[1]
  const isTrigger = words[0] === 'CREATE' && what === 'TRIGGER'
  return !isTrigger || (words.at(-2) === ';' && words.at(-1) === 'END')
}

function kindOf(words: readonly string[]): StatementKind {
  const first = words[0] ?? ''
  if (READS.has(first)) return 'read'
  if (WRITES.has(first)) return 'write'
  if (first === 'WITH') return kindOfWith(words)
  if (first === 'SAVEPOINT' || first === 'RELEASE') return 'savepoint'
  if (first === 'ROLLBACK') return words[1] === 'TO' || words[2] === 'TO' ? 'savepoint' : 'transaction'
  if (first === 'BEGIN' || first === 'COMMIT' || first === 'END') return 'transaction'
  return 'other'
}

/** The verb that follows the common table expressions. */
function kindOfWith(words: readonly string[]): StatementKind {
  let depth = 0
  for (const word of words) {
    if (word === '(') depth++
    else if (word === ')') depth--
    else if (depth === 0 && WRITES.has(word)) return 'write'
    else if (depth === 0 && READS.has(word)) return 'read'
  }
  return 'other'
}
