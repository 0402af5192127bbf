import { stripVTControlCharacters, styleText } from 'node:util'
import type { BookLine } from './books.ts'
import type { Reading } from './gauges.ts'
import type { ServiceProcess } from './service-process.ts'

export interface Picture extends Reading {
  readonly orders: number
  /** Failed attempts so far. */
  readonly failed: number
  readonly duplicates: number
  readonly services: readonly ServiceProcess[]
}

type Style = Parameters<typeof styleText>[0]

/** Milliseconds between two lines of progress where there is no terminal. */
const LINE_EVERY = 1500
const BAR = 30

/** Where the demo writes: lines of what happens, and under them, on a terminal, the state of things. */
export class View {
  readonly #out: NodeJS.WriteStream
  readonly #began = performance.now()
  readonly #finished: { readonly at: number; readonly count: number }[] = []
  #shown = ''
  #lineAt = 0

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
  }

  /** A line without a time. */
  say(text: string): void {
    this.#above(text)
  }

  /** Something happened. */
  note(text: string, style: Style = 'reset'): void {
    this.#above(`${this.#paint('dim', this.#clock())}  ${this.#paint(style, text)}`)
  }

  /** How things are. Redrawn on a terminal; elsewhere a line now and then. */
  show(picture: Picture): void {
    if (this.#out.isTTY) return this.#redraw(this.#block(picture))
    const now = performance.now()
    if (now < this.#lineAt) return
    this.#lineAt = now + LINE_EVERY
    const { placed, orders } = picture
    this.#out.write(
      `${this.#clock()}  ${placed}/${orders} placed · ${counts(picture).join(' · ')} · ${this.#rate(picture)}\n`,
    )
  }

  /** Takes the state of things off the terminal. */
  clear(): void {
    this.#redraw('')
  }

  books(lines: readonly BookLine[]): void {
    const width = Math.max(...lines.map(({ name }) => name.length))
    for (const { name, text, off } of lines) {
      const isGood = off.length === 0
      const mark = isGood ? this.#paint('green', ' ok ') : this.#paint(['red', 'bold'], ' OFF')
      this.say(`${mark}  ${name.padEnd(width)}  ${isGood ? text : this.#paint('red', `${off.length} off:`)}`)
      for (const { id, why } of off.slice(0, 5)) this.say(`      ${' '.repeat(width)}  ${id} ${why}`)
      if (off.length > 5) this.say(`      ${' '.repeat(width)}  … and ${off.length - 5} more`)
    }
  }

  #above(text: string): void {
    const shown = this.#shown
    this.#redraw('')
    this.#out.write(`${text}\n`)
    this.#redraw(shown)
  }

  #redraw(block: string): void {
    if (!this.#out.isTTY || (block === '' && this.#shown === '')) return
    const lines = this.#shown === '' ? 0 : this.#shown.split('\n').length
    if (lines > 0) {
      this.#out.moveCursor(0, -lines)
      this.#out.cursorTo(0)
      this.#out.clearScreenDown()
    }
    if (block !== '') this.#out.write(`${block}\n`)
    this.#shown = block
  }

  #block(picture: Picture): string {
    const { placed, orders, completed, cancelled, services } = picture
    const done = Math.floor((BAR * (completed + cancelled)) / orders)
    const begun = Math.max(done, Math.floor((BAR * placed) / orders))
    const bar = '█'.repeat(done) + '▒'.repeat(begun - done) + '░'.repeat(BAR - begun)
    const marks = {
      up: this.#paint('green', '●'),
      starting: this.#paint('yellow', '○'),
      stopped: this.#paint('dim', '·'),
    }
    const processes = services.map(
      ({ name, state, deaths }) => `${marks[state]} ${name}${deaths === 0 ? '' : ` (died ${deaths}×)`}`,
    )
    const lines = [
      '',
      `${bar}  ${placed}/${orders} placed  ${this.#rate(picture)}`,
      ...counts(picture),
      processes.join('   '),
    ]
    return lines.map((line) => this.#cut(line)).join('\n')
  }

  /** Orders finished a second, over the last three. */
  #rate({ completed, cancelled }: Picture): string {
    const now = performance.now()
    this.#finished.push({ at: now, count: completed + cancelled })
    while ((this.#finished[1]?.at ?? now) < now - 3000) this.#finished.shift()
    const [first] = this.#finished
    if (first === undefined || now - first.at < 200) return '…'
    const rate = ((completed + cancelled - first.count) * 1000) / (now - first.at)
    return `${Math.max(0, Math.round(rate))} orders/s`
  }

  #clock(): string {
    return `${((performance.now() - this.#began) / 1000).toFixed(1).padStart(5)} s`
  }

  /** A line that the terminal would wrap could not be taken back. */
  #cut(line: string): string {
    const width = this.#out.columns - 1
    const plain = stripVTControlCharacters(line)
    return plain.length <= width ? line : plain.slice(0, Math.max(0, width))
  }

  #paint(style: Style, text: string): string {
    return styleText(style, text, { stream: this.#out })
  }
}

/** How the orders are, and what has gone wrong so far. */
function counts({ placed, completed, cancelled, failed, dead, duplicates, services }: Picture): readonly string[] {
  const deaths = services.reduce((total, service) => total + service.deaths, 0)
  return [
    `${completed} completed · ${cancelled} cancelled · ${placed - completed - cancelled} in flight`,
    [
      `${failed} retried`,
      `${dead} dead letter${dead === 1 ? '' : 's'}`,
      `${duplicates} duplicate${duplicates === 1 ? '' : 's'} dropped`,
      `${deaths} death${deaths === 1 ? '' : 's'}`,
    ].join(' · '),
  ]
}
