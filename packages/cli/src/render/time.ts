const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const

/** A duration in its two largest units: `3m 12s`, `2d 4h`, `45s`; below a second `350ms`. */
export function duration(ms: number): string {
  const whole = Math.max(0, Math.floor(ms))
  const first = UNITS.findIndex(([, size]) => whole >= size)
  if (first === -1) return `${whole}ms`
  const [unit, size] = UNITS[first]!
  const next = UNITS[first + 1]
  const rest = next === undefined ? 0 : Math.floor((whole % size) / next[1])
  return rest === 0 ? `${Math.floor(whole / size)}${unit}` : `${Math.floor(whole / size)}${unit} ${rest}${next![0]}`
}

/** How long ago an instant was. */
export function age(at: string, now: number): string {
  return duration(now - Date.parse(at))
}

/** How far an instant is ahead; `now` for one that has passed. */
export function until(at: string, now: number): string {
  const ms = Date.parse(at) - now
  return ms <= 0 ? 'now' : `in ${duration(ms)}`
}
