/**
 * Does something `count` times, as so many clients would that each wait for one to end before they begin the next.
 *
 * @param act gets the number of the turn, from 0
 * @returns how often in a second
 */
export async function rateOf(clients: number, count: number, act: (turn: number) => Promise<unknown>): Promise<number> {
  let next = 0
  const client = async (): Promise<void> => {
    while (next < count) await act(next++)
  }
  const from = performance.now()
  await Promise.all(Array.from({ length: clients }, client))
  return (count / (performance.now() - from)) * 1000
}
