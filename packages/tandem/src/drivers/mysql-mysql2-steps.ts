// The steps of a transaction of mysql2.
import { TandemError } from '../core/errors.ts'
import type { Row, TransactionOptions } from '../spi/driver.ts'
import { runOn, type CoreConnection } from './mysql-mysql2-core.ts'
import type { Gate } from './mysql-mysql2-gate.ts'
import type { Session } from './mysql-mysql2-session.ts'
import { PLAIN } from './mysql-values.ts'

/** Milliseconds that a rollback may take before the connection is given up, which rolls back as well. */
const ROLLBACK_TIMEOUT = 5000

export async function begin(
  core: CoreConnection,
  session: Session,
  isolation: TransactionOptions['isolation'],
): Promise<void> {
  // Beginning one would commit what somebody has left behind.
  if (session.isInTransaction) await runOn(core, 'ROLLBACK')
  if (isolation === undefined) {
    await runOn(core, 'START TRANSACTION')
    return
  }
  // For the next transaction only.
  const set = `SET TRANSACTION ISOLATION LEVEL ${isolation.toUpperCase()}`
  if (core.config.multipleStatements === true) {
    await runOn(core, `${set}; START TRANSACTION`)
    return
  }
  await runOn(core, set)
  await runOn(core, 'START TRANSACTION')
}

/** @returns what sets back what it was. Both are settings of the session, in whole seconds. */
export async function setLockTimeout(core: CoreConnection, lockTimeout: number): Promise<string> {
  const names = ['innodb_lock_wait_timeout', 'lock_wait_timeout']
  const ask = `SELECT ${names.map((name) => `@@SESSION.${name} AS ${name}`).join(', ')}`
  const [before] = (await runOn(core, ask, PLAIN)) as Row[]
  const seconds = Math.max(1, Math.ceil(lockTimeout / 1000))
  const set = (valueOf: (name: string) => unknown): string =>
    `SET ${names.map((name) => `SESSION ${name} = ${Number(valueOf(name))}`).join(', ')}`
  await runOn(
    core,
    set(() => seconds),
  )
  return set((name) => before?.[name])
}

/** @throws TandemError `TRANSACTION_ENDED` when there is nothing left to commit, and the error of the server when it does not */
export async function commit(session: Session, gate: Gate): Promise<void> {
  // Asks only where the library cannot be followed.
  if (gate.broken === undefined && (await session.settled()) === 'none') {
    throw new TandemError('TRANSACTION_ENDED', 'the database has ended this transaction before its commit')
  }
  if (gate.broken === undefined) await gate.run('COMMIT')
  // A statement that was not waited for may have ended it as well.
  if (gate.broken !== undefined) throw gate.broken
}

/** @returns whether it is as it was before */
export async function setBack(gate: Gate, restore: string | undefined): Promise<boolean> {
  if (restore === undefined) return true
  return gate.run(restore).then(
    () => true,
    () => false,
  )
}

/** @returns whether the connection can be used again. Never throws: the error that led here is the one that matters. */
export async function rollBack(gate: Gate, restore: string | undefined): Promise<boolean> {
  const late = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => late.resolve(false), ROLLBACK_TIMEOUT)
  const rolledBack = gate.run('ROLLBACK').then(
    () => setBack(gate, restore),
    () => false,
  )
  const isUsable = await Promise.race([rolledBack, late.promise])
  clearTimeout(timer)
  return isUsable
}
