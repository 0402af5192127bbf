// A comment (two dashes only with white space behind them), a string, a quoted name, a word, or any other character.
const TOKEN =
  /--(?=\s|$)[^\n]*|#[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'(?:[^'\\]|\\[\s\S]|'')*'?|"(?:[^"\\]|\\[\s\S]|"")*"?|`(?:[^`]|``)*`?|[\w$\u0080-\uffff]+|\S/g
const COMMENT = /^(?:--\s|--$|#|\/\*)/

/** What is in such a comment is run. */
const RUN_COMMENT = /\/\*M?!\d*([\s\S]*?)(?:\*\/|$)/g

/** The first word of a statement, behind white space and comments. */
const FIRST_WORD = /^(?:\s|--\s[^\n]*(?:\n|$)|#[^\n]*(?:\n|$)|\/\*(?!M?!)[\s\S]*?\*\/|;)*([A-Za-z]+)/

/**
 * What a statement does to the transaction that it is in. `control`: begins or ends it. `commit`: has it committed before it does its own work,
 * as statements do that define tables.
 */
export type Effect = 'control' | 'commit' | 'none'

/** First words whose statements cannot but commit. */
const COMMITTING = ['ALTER', 'TRUNCATE', 'RENAME', 'GRANT', 'REVOKE', 'LOCK', 'UNLOCK', 'REPAIR', 'OPTIMIZE', 'CACHE']
const SERVER_WIDE = ['FLUSH', 'RESET', 'INSTALL', 'UNINSTALL', 'STOP', 'CHANGE']
const DEPENDING = ['BEGIN', 'START', 'COMMIT', 'ROLLBACK', 'XA', 'SET', 'CREATE', 'DROP', 'ANALYZE', 'CHECK', 'LOAD']
const SUSPECTS: ReadonlySet<string> = new Set([COMMITTING, SERVER_WIDE, DEPENDING].flat())

/** The worst that any statement of `sql` does. Savepoints do nothing. */
export function effectOf(sql: string): Effect {
  const separator = sql.indexOf(';')
  const isSingle = separator === -1 || separator === sql.length - 1
  const isPlain = isSingle && !sql.includes('/*!') && !sql.includes('/*M!')
  // Nearly every statement is decided here.
  if (isPlain && !SUSPECTS.has(FIRST_WORD.exec(sql)?.[1]?.toUpperCase() ?? '')) return 'none'
  const effects = statementsOf(sql.replaceAll(RUN_COMMENT, ' $1 ')).map(effectOfOne)
  return effects.find((effect) => effect === 'control') ?? effects.find((effect) => effect === 'commit') ?? 'none'
}

function effectOfOne(words: readonly string[]): Effect {
  const [first = '', second = '', third] = words
  switch (first) {
    case 'BEGIN':
    case 'COMMIT':
    case 'XA':
      return 'control'
    case 'START':
      return second === 'TRANSACTION' ? 'control' : 'commit'
    case 'ROLLBACK':
      return second === 'TO' || third === 'TO' ? 'none' : 'control'
    case 'SET':
      if (second === 'PASSWORD') return 'commit'
      return words.includes('AUTOCOMMIT') || words.includes('`AUTOCOMMIT`') ? 'control' : 'none'
    case 'CREATE':
    case 'DROP':
      // CREATE OR REPLACE TEMPORARY TABLE
      return second === 'TEMPORARY' || words[3] === 'TEMPORARY' ? 'none' : 'commit'
    case 'ANALYZE':
    case 'CHECK':
      return second === 'TABLE' || third === 'TABLE' ? 'commit' : 'none'
    case 'LOAD':
      return second === 'INDEX' ? 'commit' : 'none'
    default:
      return SUSPECTS.has(first) ? 'commit' : 'none'
  }
}

/** The words and signs of each statement, in capitals. */
function statementsOf(sql: string): string[][] {
  const all: string[][] = []
  let words: string[] = []
  for (const [token] of sql.matchAll(TOKEN)) {
    if (COMMENT.test(token)) continue
    if (token === ';') {
      all.push(words)
      words = []
    } else {
      words.push(token.toUpperCase())
    }
  }
  return [...all, words].filter((one) => one.length > 0)
}

/** The statements of a script, one by one. Bodies of procedures and triggers, which have statements inside, cannot be told apart. */
export function splitStatements(sql: string): string[] {
  const statements: string[] = []
  let start = 0
  let isEmpty = true
  const end = (position: number): void => {
    if (!isEmpty) statements.push(sql.slice(start, position).trim())
    isEmpty = true
  }
  for (const { 0: token, index } of sql.matchAll(TOKEN)) {
    if (token === ';') {
      end(index)
      start = index + 1
    } else if (!COMMENT.test(token)) {
      isEmpty = false
    }
  }
  end(sql.length)
  return statements
}

/** The text between the parameters of a statement, which are written `?`. */
export function splitAtParameters(sql: string): readonly string[] {
  const parts: string[] = []
  let start = 0
  for (const { 0: token, index } of sql.matchAll(TOKEN)) {
    if (token !== '?') continue
    parts.push(sql.slice(start, index))
    start = index + 1
  }
  return [...parts, sql.slice(start)]
}
