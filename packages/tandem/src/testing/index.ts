/**
 * For users' tests: kill a process, or fail, at a named instant between two durable steps.
 *
 * @module
 */
import { CRASH_POINTS, onCrashPoint, type CrashPoint } from '../core/crash-points.ts'
import { TandemError } from '../core/errors.ts'

export { CRASH_POINTS, type CrashPoint }

/** Thrown by `failAt`. A store treats it as any other error: what was open is rolled back. */
export class SimulatedCrash extends Error {
  readonly point: CrashPoint

  constructor(point: CrashPoint) {
    super(`simulated crash at ${point}`)
    this.name = 'SimulatedCrash'
    this.point = point
  }
}

/** Kills this process with SIGKILL when it comes to `point` for the `nth` time. Returns a function that disarms it. */
export function killAt(point: CrashPoint, nth = 1): () => void {
  return at(point, nth, () => process.kill(process.pid, 'SIGKILL'))
}

/** Throws `SimulatedCrash` when this process comes to `point` for the `nth` time. Returns a function that disarms it. */
export function failAt(point: CrashPoint, nth = 1): () => void {
  return at(point, nth, () => {
    throw new SimulatedCrash(point)
  })
}

/** Calls `action` at `point`, the `nth` time that the process comes there. Returns a function that disarms it. */
export function at(point: CrashPoint, nth: number, action: () => void): () => void {
  checkPoint(point)
  if (!Number.isInteger(nth) || nth < 1) {
    throw new TandemError('CONFIG_INVALID', `${point}: nth must be a whole number from 1, not ${nth}`)
  }
  let left = nth
  return arm((reached) => {
    if (reached !== point || --left !== 0) return
    action()
  })
}

/** Calls `observe` at every crash point; for finding out in which order a test comes by them. */
export function observeCrashPoints(observe: (point: CrashPoint) => void): () => void {
  return arm(observe)
}

/**
 * Arms what the environment variable `TANDEM_KILL_AT` says, as `point` or `point:nth`. A test sets it for a child process that calls
 * this function first.
 */
export function killAtFromEnvironment(environment: Readonly<Record<string, string | undefined>> = process.env): void {
  const setting = environment['TANDEM_KILL_AT']
  if (setting === undefined || setting === '') return
  const [point = '', nth = '1'] = setting.split(':')
  checkPoint(point)
  killAt(point, Number(nth))
}

function checkPoint(point: string): asserts point is CrashPoint {
  if ((CRASH_POINTS as readonly string[]).includes(point)) return
  throw new TandemError(
    'CONFIG_INVALID',
    `there is no crash point ${JSON.stringify(point)}; there are ${CRASH_POINTS.join(', ')}`,
  )
}

type Hook = (point: CrashPoint) => void

const armed = new Set<Hook>()

/** Several can be armed at the same time; each is disarmed alone. */
function arm(hook: Hook): () => void {
  // A function of its own for each call, so that the same hook can be armed twice.
  const own: Hook = (point) => hook(point)
  armed.add(own)
  onCrashPoint(reach)
  return () => {
    armed.delete(own)
    if (armed.size === 0) onCrashPoint(undefined)
  }
}

function reach(point: CrashPoint): void {
  for (const hook of armed) hook(point)
}
