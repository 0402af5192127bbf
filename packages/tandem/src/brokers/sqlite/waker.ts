/** Lets a loop sleep until somebody rings. A ring while it is awake shortens the next sleep to nothing. */
export class Waker {
  #rung = false
  #wake: (() => void) | undefined

  ring(): void {
    this.#rung = true
    this.#wake?.()
  }

  /** Resolves after `ms`, or as soon as somebody rings. @returns whether somebody did */
  async sleep(ms: number): Promise<boolean> {
    if (!this.#rung) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    const rung = this.#rung
    this.#wake = undefined
    this.#rung = false
    return rung
  }
}
