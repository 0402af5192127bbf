import { describe } from 'vitest'
import * as mysql2 from '../../../../examples/drivers/src/mysql2.ts'
import { createMariadb, hasMariadb, queryMariadb } from '../support/mariadb.ts'
import { runSamples, type SampleDatabase } from '../support/samples.ts'

async function create(): Promise<SampleDatabase> {
  const { tcp, drop } = await createMariadb()
  const { user, host, port, database } = tcp
  const url = `mysql://${user}@${host}:${port}/${database}`
  const run: SampleDatabase['query'] = async (...statements) => {
    let rows: Awaited<ReturnType<typeof queryMariadb>> = []
    for (const sql of statements) rows = await queryMariadb(tcp, sql)
    return rows
  }
  return { url, query: run, drop }
}

describe.skipIf(!hasMariadb)('the samples of docs/guides/drivers.md run on MariaDB', () => {
  runSamples({ mysql2 }, create)
})
