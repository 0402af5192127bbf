/** Megabytes of 2^20 bytes that this process has in memory. */
export function residentMiB(): number {
  return process.memoryUsage.rss() / 2 ** 20
}

/** The share of one core, in percent, that this process uses while `work` runs. */
export async function cpuPercent(work: () => Promise<void>): Promise<number> {
  const from = performance.now()
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return ((user + system) / 1000 / (performance.now() - from)) * 100
}

/**
 * Watches the memory of this process; the returned function ends it and gives the highest value in MiB. By samples, since the peak that the
 * system keeps of a child can be the peak of its parent.
 */
export function watchMemory(): () => number {
  let peak = residentMiB()
  const sample = (): void => {
    peak = Math.max(peak, residentMiB())
  }
  const timer = setInterval(sample, 10)
  return () => {
    clearInterval(timer)
    sample()
    return peak
  }
}
