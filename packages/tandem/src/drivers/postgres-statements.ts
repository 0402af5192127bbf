// A comment (nested ones are rare enough), a string in any of its forms, a quoted name, a word, or any other character.
const TOKEN =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|[eE]'(?:[^'\\]|\\[\s\S]|'')*'?|'(?:[^']|'')*'?|"(?:[^"]|"")*"?|(\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)[\s\S]*?(?:\1|$)|[\w$\u0080-\uffff]+|\S/g

const MAIN = new Set(['SELECT', 'VALUES', 'TABLE', 'SHOW', 'EXPLAIN', 'FETCH', 'INSERT', 'UPDATE', 'DELETE', 'MERGE'])
const CHANGES = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])

/** What a statement answers with: the rows of a question, those that it changes, or nothing but how many it has changed. */
export function answerOf(sql: string): 'rows' | 'changed rows' | 'count' {
  let depth = 0
  let main: string | undefined
  for (const [token] of sql.matchAll(TOKEN)) {
    if (token === '(') depth++
    else if (token === ')') depth--
    if (depth > 0) continue
    const word = token.toUpperCase()
    if (main === undefined && MAIN.has(word)) main = word
    else if (word === 'RETURNING') return 'changed rows'
  }
  return main === undefined || CHANGES.has(main) ? 'count' : 'rows'
}

/** The statements of a script, each for itself. */
export function splitStatements(sql: string): string[] {
  const statements: string[] = []
  let start: number | undefined
  for (const { 0: token, index } of sql.matchAll(TOKEN)) {
    if (token === ';') {
      if (start !== undefined) statements.push(sql.slice(start, index))
      start = undefined
    } else if (!token.startsWith('--') && !token.startsWith('/*')) {
      start ??= index
    }
  }
  if (start !== undefined) statements.push(sql.slice(start))
  return statements
}

/** The first word of a statement, behind white space and comments. */
const FIRST_WORD = /^(?:\s|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/|;)*([A-Za-z]+)/
const SUSPECTS = new Set(['BEGIN', 'START', 'COMMIT', 'END', 'ROLLBACK', 'ABORT', 'PREPARE'])

/** Whether any statement of `sql` begins or ends a transaction. Savepoints do not. */
export function controlsTransaction(sql: string): boolean {
  const separator = sql.indexOf(';')
  const isSingle = separator === -1 || separator === sql.length - 1
  // Nearly every statement is decided here.
  if (isSingle && !SUSPECTS.has(FIRST_WORD.exec(sql)?.[1]?.toUpperCase() ?? '')) return false
  let words: string[] = []
  for (const [token] of sql.matchAll(TOKEN)) {
    if (token.startsWith('--') || token.startsWith('/*')) continue
    if (token === ';') {
      if (isControl(words)) return true
      words = []
    } else if (words.length < 4) {
      words.push(token.toUpperCase())
    }
  }
  return isControl(words)
}

function isControl([first = '', second, third]: readonly string[]): boolean {
  if (first === 'START' || first === 'PREPARE') return second === 'TRANSACTION'
  if (first === 'ROLLBACK') return second !== 'TO' && third !== 'TO'
  return SUSPECTS.has(first)
}
