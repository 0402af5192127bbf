import { planLeases, type LeaseRow } from '../../core/leases.ts'
import type { Driver, Row } from '../../spi/driver.ts'
import { HEAD, NOW, PARTITIONS } from './log.ts'

/** One consumption, as the other members of its group see it. */
export interface MemberInfo {
  readonly id: string
  readonly group: string
  /** Ids of its topics. */
  readonly topics: readonly number[]
  /** Deliveries that it can have out. */
  readonly maxInFlight: number
}

/** Where a topic and partition is told apart by one number. */
export function laneOf(topic: number, partition: number): number {
  return topic * PARTITIONS + partition
}

/** A partition that the member holds. */
export interface HeldPartition {
  readonly topic: number
  readonly partition: number
  readonly token: number
  readonly position: number
  /** Messages up to `suspect` may have been delivered this often before. */
  readonly redelivered: number
  readonly suspect: number
  /** Somebody else's turn: deliver no more from it, and give it up as soon as nothing of it is out. */
  readonly surplus: boolean
}

export interface Exchange {
  readonly held: readonly HeldPartition[]
  /** Version of the group after the exchange. */
  readonly version: number
  /** Highest sequence. */
  readonly head: number
  /** Milliseconds until a partition that somebody else holds can be taken unless it is renewed. */
  readonly nextExpiry: number | undefined
  /** Whether the others should look at their shares. */
  readonly changed: boolean
}

export interface PositionChange {
  readonly topic: number
  readonly partition: number
  readonly token: number
  readonly position: number
  /** Present: gives the partition up; up to this sequence, messages were delivered and not acked (0: none). */
  readonly giveUp?: { readonly delivered: number }
}

/** The statements on groups, members and positions: each method is one transaction. */
export class Positions<Tx> {
  readonly #driver: Driver<Tx>

  constructor(driver: Driver<Tx>) {
    this.#driver = driver
  }

  /** A group that is new to a topic begins with the oldest message that is still there. */
  async register(group: string, topics: readonly number[], tx: Tx): Promise<void> {
    await this.#driver.query(
      'INSERT INTO broker_group (name, version) VALUES (?, 0) ON CONFLICT DO NOTHING',
      [group],
      tx,
    )
    await this.#driver.query(
      `INSERT INTO broker_position (group_name, topic, partition, position, redelivered, suspect, token, expires_at)
       SELECT ?, t.value, p.value, 0, 0, 0, 0, 0 FROM json_each(?) t, json_each(?) p WHERE true ON CONFLICT DO NOTHING`,
      [group, JSON.stringify(topics), JSON.stringify([...Array(PARTITIONS).keys()])],
      tx,
    )
  }

  /** Highest sequence and version of the group: all that a member which has nothing to do looks at. */
  async look(group: string): Promise<{ readonly head: number; readonly version: number }> {
    const { rows } = await this.#driver.query(
      `SELECT ${HEAD} AS head,
              coalesce((SELECT version FROM broker_group WHERE name = ?), 0) AS version`,
      [group],
    )
    return { head: rows[0]?.['head'] as number, version: rows[0]?.['version'] as number }
  }

  /**
   * Says that the member is alive for `lease` ms, renews what it holds, takes what is free up to its share of each topic.
   *
   * @param tokens the token of each lane that the member knows to be its own
   */
  exchange(member: MemberInfo, tokens: ReadonlyMap<number, number>, lease: number): Promise<Exchange> {
    return this.#driver.transaction((tx) => this.#exchange(member, tokens, lease, tx), { lockTimeout: lease / 3 })
  }

  async #exchange(member: MemberInfo, tokens: ReadonlyMap<number, number>, lease: number, tx: Tx): Promise<Exchange> {
    const clock = await this.#driver.query(`SELECT ${NOW} AS now, ${HEAD} AS head`, [], tx)
    const now = clock.rows[0]?.['now'] as number
    const head = clock.rows[0]?.['head'] as number
    const expiresAt = now + lease
    const changed = await this.#stayAlive(member, now, expiresAt, tx)
    const contenders = await this.#contenders(member.group, tx)
    const rows = await this.#rows(member, tx)

    const held: HeldPartition[] = []
    const renewed: number[] = []
    let nextExpiry: number | undefined
    for (const topic of member.topics) {
      const ofTopic = rows.filter((row) => row.topic === topic)
      const isMine = (row: PositionRow): boolean =>
        row.owner === member.id && tokens.get(laneOf(topic, row.partition)) === row.token
      const plan = planLeases(
        ofTopic.map((row) => leaseRow(row, isMine(row), member.id, now)),
        member.id,
        { names: ofTopic.map((row) => String(row.partition)), contenders: contenders.get(topic) ?? 1 },
        now,
      )
      for (const row of ofTopic) {
        const name = String(row.partition)
        const surplus = plan.release.includes(name)
        if (plan.take.includes(name)) {
          held.push({ ...(await this.#take(member, row, expiresAt, tx)), surplus: false })
        } else if (surplus || plan.renew.includes(name)) {
          renewed.push(laneOf(topic, row.partition))
          held.push({ ...row, surplus })
        } else if (row.owner !== undefined && row.expiresAt > now) {
          nextExpiry = Math.min(nextExpiry ?? Infinity, row.expiresAt - now)
        }
      }
    }
    await this.#driver.query(
      `UPDATE broker_position SET expires_at = ? WHERE group_name = ?
       AND topic * ${PARTITIONS} + partition IN (SELECT value FROM json_each(?))`,
      [expiresAt, member.group, JSON.stringify(renewed)],
      tx,
    )
    const version = await this.#version(member.group, changed, tx)
    return { held, version, head, nextExpiry, changed }
  }

  /** @returns whether the members of the group are others than before */
  async #stayAlive(member: MemberInfo, now: number, expiresAt: number, tx: Tx): Promise<boolean> {
    const dead = await this.#driver.query(
      'DELETE FROM broker_member WHERE group_name = ? AND expires_at <= ? AND id <> ?',
      [member.group, now, member.id],
      tx,
    )
    const { changed } = await this.#driver.query(
      'UPDATE broker_member SET expires_at = ? WHERE id = ?',
      [expiresAt, member.id],
      tx,
    )
    if (changed > 0) return dead.changed > 0
    await this.#driver.query(
      'INSERT INTO broker_member (id, group_name, topics, expires_at) VALUES (?, ?, ?, ?)',
      [member.id, member.group, JSON.stringify(member.topics), expiresAt],
      tx,
    )
    return true
  }

  /** How many live members want each topic. */
  async #contenders(group: string, tx: Tx): Promise<ReadonlyMap<number, number>> {
    const { rows } = await this.#driver.query(
      `SELECT t.value AS topic, count(*) AS members FROM broker_member m, json_each(m.topics) t
       WHERE m.group_name = ? GROUP BY t.value`,
      [group],
      tx,
    )
    return new Map(rows.map((row) => [row['topic'] as number, row['members'] as number]))
  }

  async #rows(member: MemberInfo, tx: Tx): Promise<readonly PositionRow[]> {
    const { rows } = await this.#driver.query(
      `SELECT topic, partition, position, redelivered, suspect, owner, token, expires_at FROM broker_position
       WHERE group_name = ? AND topic IN (SELECT value FROM json_each(?)) ORDER BY topic, partition`,
      [member.group, JSON.stringify(member.topics)],
      tx,
    )
    return rows.map(positionRow)
  }

  /** Who left without giving the partition up may have had messages out: as many are suspect as a member can have out. */
  async #take(
    member: MemberInfo,
    row: PositionRow,
    expiresAt: number,
    tx: Tx,
  ): Promise<Omit<HeldPartition, 'surplus'>> {
    const { topic, partition, position } = row
    const unclean = row.owner !== undefined && row.owner !== member.id
    const last = unclean ? await this.#lastAhead(row, member.maxInFlight, tx) : undefined
    const token = row.token + 1
    const redelivered = row.redelivered + (last === undefined ? 0 : 1)
    const suspect = Math.max(row.suspect, last ?? 0)
    await this.#driver.query(
      `UPDATE broker_position SET owner = ?, token = ?, expires_at = ?, redelivered = ?, suspect = ?
       WHERE group_name = ? AND topic = ? AND partition = ?`,
      [member.id, token, expiresAt, redelivered, suspect, member.group, topic, partition],
      tx,
    )
    return { topic, partition, token, position, redelivered, suspect }
  }

  /** The last of the first `count` messages after the position; undefined if there is none. */
  async #lastAhead({ topic, partition, position }: PositionRow, count: number, tx: Tx): Promise<number | undefined> {
    const { rows } = await this.#driver.query(
      `SELECT max(sequence) AS last FROM (SELECT sequence FROM broker_message
       WHERE topic = ? AND partition = ? AND sequence > ? ORDER BY sequence LIMIT ?)`,
      [topic, partition, position, count],
      tx,
    )
    return (rows[0]?.['last'] as number | null) ?? undefined
  }

  async #version(group: string, grow: boolean, tx: Tx): Promise<number> {
    const { rows } = await this.#driver.query(
      'UPDATE broker_group SET version = version + ? WHERE name = ? RETURNING version',
      [grow ? 1 : 0, group],
      tx,
    )
    return rows[0]?.['version'] as number
  }

  /**
   * Writes positions and gives partitions up. What the member holds no more (its token is old) is left as it is.
   *
   * @returns the lanes that the member had lost
   */
  commit(
    member: MemberInfo,
    changes: readonly PositionChange[],
    options: { readonly leave: boolean; readonly lockTimeout: number },
  ): Promise<readonly number[]> {
    return this.#driver.transaction(
      async (tx) => {
        const lost: number[] = []
        for (const change of changes) {
          if (!(await this.#commitOne(member, change, tx))) lost.push(laneOf(change.topic, change.partition))
        }
        if (options.leave) await this.#driver.query('DELETE FROM broker_member WHERE id = ?', [member.id], tx)
        if (options.leave || changes.some(({ giveUp }) => giveUp !== undefined)) {
          await this.#version(member.group, true, tx)
        }
        return lost
      },
      { lockTimeout: options.lockTimeout },
    )
  }

  async #commitOne(member: MemberInfo, change: PositionChange, tx: Tx): Promise<boolean> {
    const { topic, partition, token, position, giveUp } = change
    const where = 'group_name = ? AND topic = ? AND partition = ? AND owner = ? AND token = ?'
    const which = [member.group, topic, partition, member.id, token]
    const { changed } = await this.#driver.query(
      `UPDATE broker_position SET redelivered = iif(position < ?, 0, redelivered), position = max(position, ?)
       WHERE ${where}`,
      [position, position, ...which],
      tx,
    )
    if (changed === 0 || giveUp === undefined) return changed > 0
    await this.#driver.query(
      `UPDATE broker_position SET owner = NULL, expires_at = 0,
         redelivered = redelivered + iif(? > 0, 1, 0), suspect = max(suspect, ?)
       WHERE ${where}`,
      [giveUp.delivered, giveUp.delivered, ...which],
      tx,
    )
    return true
  }
}

interface PositionRow extends Omit<HeldPartition, 'surplus'> {
  readonly owner: string | undefined
  readonly expiresAt: number
}

function positionRow(row: Row): PositionRow {
  return {
    topic: row['topic'] as number,
    partition: row['partition'] as number,
    position: row['position'] as number,
    redelivered: row['redelivered'] as number,
    suspect: row['suspect'] as number,
    owner: (row['owner'] as string | null) ?? undefined,
    token: row['token'] as number,
    expiresAt: row['expires_at'] as number,
  }
}

/**
 * What a member holds and nobody has taken stays its own, even if its lease has run out meanwhile. What has its name but a token that
 * it does not know is from a transaction whose end it did not learn, and free.
 */
function leaseRow(row: PositionRow, isMine: boolean, member: string, now: number): LeaseRow {
  const unknown = row.owner === member && !isMine
  return {
    name: String(row.partition),
    owner: unknown ? undefined : row.owner,
    token: row.token,
    expiresAt: isMine ? now + 1 : row.expiresAt,
  }
}
