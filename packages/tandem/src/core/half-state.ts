/**
 * The state machine of a half message, pure. Names and defaults of the schedule are RocketMQ's (`BrokerConfig`: 6 s, 30 s, 15).
 *
 * prepared → committed | rolled-back | undecided; undecided → committed | rolled-back, by a person or by a late `commit`/`rollback`.
 */
export type HalfState = 'prepared' | 'committed' | 'rolled-back' | 'undecided'
export type HalfAnswer = 'commit' | 'rollback' | 'unknown'
export type HalfDecision = Exclude<HalfAnswer, 'unknown'>

export interface CheckSchedule {
  /** Milliseconds from `prepare` to the first check. Default 6,000. */
  readonly transactionTimeOut: number
  /** Milliseconds from one check to the next. Default 30,000. */
  readonly transactionCheckInterval: number
  /** Answered checks after which the half message is parked as `undecided`. Default 15. */
  readonly transactionCheckMax: number
}

export const DEFAULT_CHECK_SCHEDULE: CheckSchedule = {
  transactionTimeOut: 6000,
  transactionCheckInterval: 30_000,
  transactionCheckMax: 15,
}

/** Anything but the exact words is `unknown`: an odd answer must never commit or roll back. */
export function readAnswer(answer: unknown): HalfAnswer {
  return answer === 'commit' || answer === 'rollback' ? answer : 'unknown'
}

export type DecideResult =
  /** This call decided it. */
  | 'decided'
  /** It had been decided the same way before. */
  | 'repeated'
  /** It had been decided the other way before. */
  | 'contradicted'

/** What a commit or rollback means for a half message in `state`. */
export function decide(state: HalfState, decision: HalfDecision): DecideResult {
  if (state === 'prepared' || state === 'undecided') return 'decided'
  return state === stateAfter(decision) ? 'repeated' : 'contradicted'
}

export function stateAfter(decision: HalfDecision): HalfState {
  return decision === 'commit' ? 'committed' : 'rolled-back'
}

/** What follows an answered check that did not decide: the next one, or parking. `answered` includes the one just given. */
export function afterUnknown(
  answered: number,
  schedule: CheckSchedule,
): { state: 'prepared' | 'undecided'; nextCheckIn: number } {
  return answered >= schedule.transactionCheckMax
    ? { state: 'undecided', nextCheckIn: 0 }
    : { state: 'prepared', nextCheckIn: schedule.transactionCheckInterval }
}
