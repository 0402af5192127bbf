const RealDate = Date
let offset = 0

/** Moves the time of day of this process by `ms` from the real one; everything that asks JavaScript for it is fooled. */
export function jumpTo(ms: number): void {
  offset = ms
  globalThis.Date = FalseDate as unknown as DateConstructor
}

class FalseDate extends RealDate {
  constructor(value: number = FalseDate.now()) {
    super(value)
  }

  static override now(): number {
    return RealDate.now() + offset
  }
}
