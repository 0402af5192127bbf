import type { Row } from '../../spi/driver.ts'

/** Columns of a row as the types that the STRICT tables give them. */
export function text(row: Row, column: string): string {
  return row[column] as string
}

export function optionalText(row: Row, column: string): string | undefined {
  const value = row[column] as string | null | undefined
  return value ?? undefined
}

export function integer(row: Row, column: string): number {
  return Number(row[column])
}

export function optionalInteger(row: Row, column: string): number | undefined {
  const value = row[column]
  return value === null || value === undefined ? undefined : Number(value)
}

export function flag(row: Row, column: string): boolean {
  return Number(row[column]) !== 0
}

export function bytes(row: Row, column: string): Uint8Array {
  return row[column] as Uint8Array
}

export function headersOf(row: Row): Readonly<Record<string, string>> {
  return JSON.parse(text(row, 'headers')) as Record<string, string>
}
