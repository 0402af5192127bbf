const UNITS = ['kB', 'MB', 'GB', 'TB'] as const
const STEP = 1024

/** A number of bytes as people say it: `512 B`, `8 kB`, `1.4 GB`; steps of 1024, as databases count. */
export function bytes(count: number): string {
  if (count < STEP) return `${count} B`
  let value = count / STEP
  let unit = 0
  while (value >= STEP && unit < UNITS.length - 1) {
    value /= STEP
    unit += 1
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`
}
