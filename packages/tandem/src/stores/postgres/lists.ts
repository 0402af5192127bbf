import type { SqlValue } from '../../spi/driver.ts'
import { textsByCount } from '../shared/statements.ts'

type ColumnType = 'text' | 'int4' | 'float8' | 'bytea'

/** Up to so many rows are passed value by value, which is faster; more as one JSON text. */
const MOST_VALUES = 16

/** A list of rows that is passed to one statement. */
export interface RowList {
  /**
   * What stands behind FROM: the rows under the name `m`. The same text for all numbers of rows above a small one.
   *
   * @param first number of the first parameter that the list takes
   */
  from(count: number, first: number): string
  params(rows: readonly (readonly SqlValue[])[]): readonly SqlValue[]
}

/** @param columns names and types of the columns */
export function rowList(columns: Readonly<Record<string, ColumnType>>): RowList {
  const names = Object.keys(columns)
  const types = Object.values(columns)
  const json = names.map((name, i) => `${name} ${types[i] === 'bytea' ? 'text' : types[i]}`).join(', ')
  const picked = names.map((name, i) => (types[i] === 'bytea' ? `decode(r.${name}, 'base64') AS ${name}` : `r.${name}`))

  const values = (count: number, first: number): string => {
    const row = (r: number): string =>
      `(${types.map((type, c) => `$${first + r * types.length + c}::${type}`).join(', ')})`
    return `(VALUES ${Array.from({ length: count }, (_, r) => row(r)).join(', ')}) AS m (${names.join(', ')})`
  }

  return {
    from: (count, first) =>
      count <= MOST_VALUES
        ? values(count, first)
        : `(SELECT ${picked.join(', ')} FROM json_to_recordset($${first}::text::json) AS r (${json})) AS m`,
    params(rows) {
      if (rows.length <= MOST_VALUES) return rows.flat()
      return [JSON.stringify(rows.map((row) => objectOf(names, row)))]
    },
  }
}

/** Statements over a list, made once for each text. */
export function byCount(make: (count: number) => string): (count: number) => string {
  const texts = textsByCount(make)
  return (count) => texts(Math.min(count, MOST_VALUES + 1))
}

function objectOf(names: readonly string[], row: readonly SqlValue[]): Readonly<Record<string, unknown>> {
  const object: Record<string, unknown> = {}
  for (const [i, name] of names.entries()) object[name] = jsonValue(row[i] ?? null)
  return object
}

function jsonValue(value: SqlValue): unknown {
  if (value instanceof Uint8Array) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
  }
  return value
}
