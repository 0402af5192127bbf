/** What a migration makes, against what is there: for the databases that say so in a catalogue. */

/** A table, column, index, constraint, trigger or sequence of the schema. */
export interface SchemaObject {
  /** `column outbox.key`, for example. */
  readonly name: string
  /** The table that it belongs to; empty for a sequence. */
  readonly table: string
  /** What it is like. Empty for a table. */
  readonly detail: string
}

/** What a release's tables are made of, as lines of text. */
export function writeObjects(objects: readonly SchemaObject[]): string {
  const lines = objects.map(({ name, table, detail }) => [table, name, ...(detail === '' ? [] : [detail])].join(' | '))
  return `${lines.toSorted((a, b) => (a < b ? -1 : 1)).join('\n')}\n`
}

export function readObjects(content: string): readonly SchemaObject[] {
  return content
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [table = '', name = '', ...detail] = line.split(' | ')
      return { table, name, detail: detail.join(' | ') }
    })
}

/**
 * What differs between what is there and what the migrations make, in words.
 *
 * @param options.others whether what belongs to a table of Tandem's and no migration makes is reported as well
 */
export function driftOf(
  expected: readonly SchemaObject[],
  found: readonly SchemaObject[],
  options: { readonly others: boolean },
): string[] {
  const there = new Map(found.map((object) => [object.name, object]))
  const known = new Set(expected.map(({ name }) => name))
  const ours = new Set(expected.map(({ table }) => table).filter((table) => there.has(`table ${table}`)))
  const drift: string[] = []
  for (const { name, table, detail } of expected) {
    const object = there.get(name)
    // What is missing with its table is not told one by one.
    if (object === undefined && (name === `table ${table}` || table === '' || ours.has(table))) {
      drift.push(`${name} is missing`)
    } else if (object !== undefined && object.detail !== detail) {
      drift.push(`${name} is "${object.detail}" and should be "${detail}"`)
    }
  }
  if (!options.others) return drift
  const others = found.filter(({ name, table }) => !known.has(name) && ours.has(table))
  return [...drift, ...others.map(({ name, detail }) => `${name} (${detail}) is not one of Tandem's`)]
}
