import type { Io } from './io.ts'

/** Milliseconds between two updates of the line. */
const EVERY = 200

/** A line on the terminal that counts what is done, for acts on many messages; nothing elsewhere. */
export function progress(io: Io, total: number): { readonly step: () => void; readonly end: () => void } {
  if (!io.stderr.isTTY || total < 2) return { step: () => undefined, end: () => undefined }
  let done = 0
  let shown = -Infinity
  return {
    step() {
      done += 1
      if (io.now() - shown < EVERY) return
      shown = io.now()
      io.stderr.write(`\r${done} of ${total}; Ctrl-C stops before the next`)
    },
    end: () => io.stderr.write('\r\u001b[K'),
  }
}
