import { randomFillSync } from 'node:crypto'

/**
 * UUIDv7 (RFC 9562, section 5.7) whose ids also ascend within one millisecond of one process: the 12 bits after the version and the
 * first 14 bits after the variant hold a counter (section 6.2, method 1). Node's own `randomUUIDv7` is not ordered within a
 * millisecond and is missing before Node 24.
 */
const COUNTER_LIMIT = 2 ** 26

const pool = Buffer.allocUnsafe(6 * 512)
let poolAt = pool.length

export const uuidv7: (now?: number) => string = uuidSequence()

/**
 * Ids that ascend among themselves, whatever the clock does.
 *
 * @param counterLimit for tests, which cannot wait for 2²⁶ ids of one millisecond
 */
export function uuidSequence(counterLimit: number = COUNTER_LIMIT): (now?: number) => string {
  let lastMillisecond = 0
  let counter = 0
  return (now = Date.now()) => {
    if (now > lastMillisecond) {
      lastMillisecond = now
      counter = randomBelow(counterLimit / 2)
    } else {
      // The clock stood still or went back: stay on the last millisecond, and borrow one when the counter is used up.
      counter += 1
      if (counter >= counterLimit) {
        lastMillisecond += 1
        counter = 0
      }
    }
    const time = lastMillisecond.toString(16).padStart(12, '0')
    const high = (0x7000 | (counter >>> 14)).toString(16)
    const low = (0x8000 | (counter & 0x3fff)).toString(16)
    return `${time.slice(0, 8)}-${time.slice(8)}-${high}-${low}-${randomHex()}`
  }
}

/** Whether `text` has the form of a UUID of any version, in lower case. */
export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(text)
}

function randomHex(): string {
  refill()
  poolAt += 6
  return pool.toString('hex', poolAt - 6, poolAt)
}

function randomBelow(limit: number): number {
  refill()
  poolAt += 6
  return pool.readUIntBE(poolAt - 6, 6) % limit
}

function refill(): void {
  if (poolAt < pool.length) return
  randomFillSync(pool)
  poolAt = 0
}
