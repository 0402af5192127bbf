/** Texts that differ by the number of rows in them, made once for each number that is in use. */
export function textsByCount(make: (count: number) => string): (count: number) => string {
  const texts = new Map<number, string>()
  return (count) => {
    let text = texts.get(count)
    if (text === undefined) {
      text = make(count)
      if (texts.size >= 256) texts.clear()
      texts.set(count, text)
    }
    return text
  }
}

/** Cuts a list into parts that fit into one statement each. */
export function* parts<T>(list: readonly T[], size: number): Generator<readonly T[]> {
  if (list.length <= size) {
    if (list.length > 0) yield list
    return
  }
  for (let start = 0; start < list.length; start += size) yield list.slice(start, start + size)
}
