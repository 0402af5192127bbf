import { TandemError } from '../../core/errors.ts'
import { integer, text } from '../shared/rows.ts'
import type { PostgresContext } from './context.ts'

const OLDEST = 13

/** Looks at the server once, when the store opens. */
export async function checkServer<Tx>({ read, setDefaultIsolation }: PostgresContext<Tx>): Promise<void> {
  const [row = {}] = await read(
    `SELECT current_setting('server_version_num')::int4 AS version, current_setting('server_version') AS version_text,
      current_setting('server_encoding') AS encoding, current_setting('default_transaction_isolation') AS isolation`,
    [],
  )
  if (integer(row, 'version') < OLDEST * 10_000) {
    const text_ = text(row, 'version_text')
    throw new TandemError('CONFIG_INVALID', `PostgreSQL ${text_} is too old: Tandem needs ${OLDEST} or later`)
  }
  const encoding = text(row, 'encoding')
  if (encoding !== 'UTF8') {
    throw new TandemError('CONFIG_INVALID', `the database is encoded in ${encoding}: Tandem needs UTF8`)
  }
  setDefaultIsolation(text(row, 'isolation'))
}
