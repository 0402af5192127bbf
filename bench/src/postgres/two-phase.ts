// Two-phase commit over two databases, as an application does it by hand: the baseline, and nothing that Tandem uses.
import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import type { Database } from './server.ts'

const PREFIX = 'tandem-bench-'
/** Decisions that have been carried out are forgotten by the hundred: they cost no transaction of their own. */
const FORGET_EVERY = 100

type Work = (client: pg.PoolClient) => Promise<void>

/**
 * A coordinator with presumed abort. Both branches work, prepare and commit at the same time, so that a phase costs what its slower half
 * costs. The decision is a row that is committed between the phases: whoever finds prepared transactions after a crash commits those whose
 * decision is there, and rolls the others back.
 */
export class TwoPhaseCommit {
  readonly #first: pg.Pool
  readonly #second: pg.Pool
  #done: string[] = []

  /** @param first also keeps the decisions */
  constructor(first: pg.Pool, second: pg.Pool) {
    this.#first = first
    this.#second = second
  }

  static async createTables(first: Database): Promise<void> {
    await first.query('CREATE TABLE decision (gid text PRIMARY KEY)')
  }

  /** @throws what the work throws, or a database; then neither has changed, or `recover` ends what was begun */
  async run(inFirst: Work, inSecond: Work): Promise<void> {
    const gid = `${PREFIX}${randomUUID()}`
    const branches = [await this.#first.connect(), await this.#second.connect()] as const
    const [first, second] = branches
    let decided = false
    try {
      await settled(prepare(first, branchOf(gid, 0), inFirst), prepare(second, branchOf(gid, 1), inSecond))
      await this.#first.query({ name: 'decide', text: 'INSERT INTO decision (gid) VALUES ($1)', values: [gid] })
      decided = true
      await settled(...branches.map((client, i) => client.query(`COMMIT PREPARED '${branchOf(gid, i)}'`)))
    } catch (error) {
      if (!decided) await Promise.allSettled(branches.map((client, i) => undo(client, branchOf(gid, i))))
      throw error
    } finally {
      for (const client of branches) client.release()
    }
    this.#done.push(gid)
    if (this.#done.length >= FORGET_EVERY) await this.#forget()
  }

  /** Ends what a coordinator that died has left behind. Nothing else may be under way. */
  async recover(): Promise<void> {
    const { rows } = await this.#first.query<{ gid: string }>('SELECT gid FROM decision')
    const decided = new Set(rows.map(({ gid }) => gid))
    for (const pool of [this.#first, this.#second]) {
      const left = await pool.query<{ gid: string }>(
        'SELECT gid FROM pg_prepared_xacts WHERE database = current_database() AND starts_with(gid, $1)',
        [PREFIX],
      )
      for (const { gid: branch } of left.rows) {
        const end = decided.has(branch.slice(0, -2)) ? 'COMMIT' : 'ROLLBACK'
        await pool.query(`${end} PREPARED '${branch}'`)
      }
    }
    await this.#first.query('DELETE FROM decision')
  }

  async #forget(): Promise<void> {
    const done = this.#done
    this.#done = []
    await this.#first.query({ name: 'forget', text: 'DELETE FROM decision WHERE gid = ANY ($1)', values: [done] })
  }
}

/** A name of its own for each branch: two databases of one server share their names. */
function branchOf(gid: string, branch: number): string {
  return `${gid}-${branch}`
}

async function prepare(client: pg.PoolClient, gid: string, work: Work): Promise<void> {
  await client.query('BEGIN')
  await work(client)
  await client.query(`PREPARE TRANSACTION '${gid}'`)
}

async function undo(client: pg.PoolClient, gid: string): Promise<void> {
  await client.query('ROLLBACK')
  await client.query(`ROLLBACK PREPARED '${gid}'`)
}

/** Waits for all, and then passes on the first failure. */
async function settled(...all: Promise<unknown>[]): Promise<void> {
  const outcomes = await Promise.allSettled(all)
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}
