import { TandemError } from '../../core/errors.ts'
import { integer, text } from '../shared/rows.ts'
import type { Row } from '../../spi/driver.ts'

/** What differs between the servers that speak this dialect. */
interface Flavour {
  readonly name: 'MySQL' | 'MariaDB'
  /** Major, minor, patch. */
  readonly oldest: readonly [number, number, number]
  /** The collation that compares UTF-8 byte by byte, spaces at the end included. */
  readonly collation: string
}

const MARIADB: Flavour = { name: 'MariaDB', oldest: [10, 6, 0], collation: 'utf8mb4_nopad_bin' }
const MYSQL: Flavour = { name: 'MySQL', oldest: [8, 0, 17], collation: 'utf8mb4_0900_bin' }

export interface Server {
  readonly flavour: Flavour
  /** Bytes of the largest statement that the server takes. */
  readonly largestPacket: number
}

export const SERVER_QUESTION: string = `SELECT version() AS version, @@max_allowed_packet AS largest_packet, @@character_set_client AS client,
  @@character_set_results AS results, database() AS name`

/** Looks at the server once, when the store opens. */
export function serverOf(row: Row): Server {
  const version = text(row, 'version')
  const flavour = /mariadb/i.test(version) ? MARIADB : MYSQL
  if (isOlder(version, flavour.oldest)) {
    throw new TandemError(
      'CONFIG_INVALID',
      `${flavour.name} ${version} is too old: Tandem needs MySQL ${MYSQL.oldest.join('.')} or MariaDB ${MARIADB.oldest.join('.')}, or later`,
    )
  }
  if (row['name'] === null) {
    throw new TandemError(
      'CONFIG_INVALID',
      'the connections have no database selected; name it where they are configured',
    )
  }
  for (const column of ['client', 'results']) {
    const charset = String(row[column])
    if (charset === 'utf8mb4') continue
    throw new TandemError(
      'CONFIG_INVALID',
      `the connections use the character set ${charset}, in which not every text can be sent: Tandem needs utf8mb4`,
    )
  }
  return { flavour, largestPacket: integer(row, 'largest_packet') }
}

function isOlder(version: string, oldest: readonly number[]): boolean {
  // MariaDB once wrote "5.5.5-" before its own version, for the sake of old replicas.
  const [, ...numbers] = /^(?:5\.5\.5-)?(\d+)\.(\d+)\.(\d+)/.exec(version) ?? []
  for (const [i, least] of oldest.entries()) {
    const number = Number(numbers[i] ?? 0)
    if (number !== least) return number < least
  }
  return false
}
