/** A table, index, trigger or view as `sqlite_master` has it. */
export interface SchemaObject {
  readonly type: string
  readonly name: string
  /** The table that it belongs to; a table's own name. */
  readonly table: string
  readonly sql: string
}

/**
 * What differs between the objects that are there and those that the migrations make, in words. It compares their CREATE statements,
 * which SQLite keeps as they were written; a migration that alters a table has to teach this what comes of it.
 *
 * @param options.others whether indexes and triggers on the tables that no migration makes are reported as well
 */
export function driftOf(
  migrations: readonly string[],
  found: readonly SchemaObject[],
  options: { readonly others: boolean },
): string[] {
  const expected = new Map(migrations.flatMap(created).map((object) => [object.name, object]))
  const there = new Map(found.map((object) => [object.name, object]))
  const drift: string[] = []
  for (const { type, name, sql } of expected.values()) {
    const object = there.get(name)
    if (object === undefined) drift.push(`${type} ${name} is missing`)
    else if (normalised(object.sql) !== normalised(sql)) {
      drift.push(`${type} ${name} is not as its migration makes it: ${normalised(object.sql)}`)
    }
  }
  if (!options.others) return drift
  for (const { type, name, table } of there.values()) {
    if (!expected.has(name) && expected.has(table)) drift.push(`${type} ${name} is not one of Tandem's`)
  }
  return drift
}

function created(migration: string): SchemaObject[] {
  // No text in the migrations holds a semicolon, so that they need not be parsed.
  return withoutComments(migration)
    .split(';')
    .flatMap((statement) => {
      const match = /^\s*CREATE\s+(?:UNIQUE\s+)?(TABLE|INDEX)\s+(\w+)(?:\s+ON\s+(\w+))?/i.exec(statement)
      if (match === null) return []
      const [, type = '', name = '', table = name] = match
      return [{ type: type.toLowerCase(), name, table, sql: statement }]
    })
}

function normalised(sql: string): string {
  return withoutComments(sql).replaceAll(/\s+/g, ' ').trim()
}

function withoutComments(sql: string): string {
  return sql.replaceAll(/--[^\n]*/g, '')
}
