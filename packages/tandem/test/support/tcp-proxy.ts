// Stands between a client and a server, and does to their connections what networks do.
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** Who does not get to see the bytes. */
export type Loss = 'request' | 'answer'
/** `reset`: as when a machine is gone or a firewall says no. `end`: as when the other side has closed. */
export type Cut = 'reset' | 'end'

export interface CutRule {
  /** What the client must have said on the same connection before, since the rule is there. Default: nothing. */
  readonly after?: string
  /** What the client says when the connection is cut. */
  readonly at: string
  /**
   * `request`: the server never sees it, nor anything of the piece of the stream that it came in. `answer`: the server has seen it and
   * answered, and the client does not see the answer.
   */
  readonly lose: Loss
  readonly how?: Cut
}

interface ArmedRule extends CutRule {
  readonly done: () => void
}

/** Bytes that are kept from one piece of the stream to the next, for a text that is cut in two. */
const OVERLAP = 200

export class TcpProxy {
  readonly port: number
  readonly #server: Server
  readonly #pairs = new Set<Pair>()
  readonly #rules = new Set<ArmedRule>()
  readonly #target: { readonly host: string; readonly port: number }
  #refusing = false
  #delay = 0

  private constructor(server: Server, target: { readonly host: string; readonly port: number }) {
    this.#server = server
    this.#target = target
    this.port = (server.address() as AddressInfo).port
    server.on('connection', (client) => this.#accept(client))
  }

  /** Listens on 127.0.0.1, on a port that is free. */
  static async start(target: { readonly host: string; readonly port: number }): Promise<TcpProxy> {
    const server = createServer({ noDelay: true })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(0, '127.0.0.1', resolve)
    })
    return new TcpProxy(server, target)
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#pairs.size
  }

  /** Cuts every connection, on both sides, and with it what is on the way. */
  cutAll(how: Cut = 'reset'): void {
    for (const pair of this.#pairs) pair.cut(how)
  }

  /**
   * Cuts the first connection on which this is said, at that very moment, and no other one.
   *
   * @returns a promise that resolves when it has happened
   */
  cutAt(rule: CutRule): Promise<void> {
    return new Promise((resolve) => {
      const armed: ArmedRule = {
        ...rule,
        done: () => {
          this.#rules.delete(armed)
          resolve()
        },
      }
      this.#rules.add(armed)
    })
  }

  /** From here on the connections that are there carry nothing from this side, and nobody is told. New ones are whole. */
  swallow(from: 'client' | 'server' | 'both'): void {
    for (const pair of this.#pairs) pair.swallow(from)
  }

  /** From here on every piece of the stream takes so many milliseconds longer, in each direction. */
  delay(ms: number): void {
    this.#delay = ms
  }

  /** From here on whoever connects is turned away. */
  refuse(): void {
    this.#refusing = true
  }

  accept(): void {
    this.#refusing = false
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.cutAll()
    await closed
  }

  #accept(client: Socket): void {
    if (this.#refusing) {
      client.on('error', ignore)
      client.resetAndDestroy()
      return
    }
    const server = connect({ ...this.#target, noDelay: true })
    const pair = new Pair(client, server, { rules: this.#rules, delay: () => this.#delay })
    this.#pairs.add(pair)
    pair.onClose = () => this.#pairs.delete(pair)
  }
}

interface Weather {
  readonly rules: ReadonlySet<ArmedRule>
  delay(): number
}

/** One connection: a client's side and a server's. */
class Pair {
  onClose: () => void = ignore
  readonly #client: Socket
  readonly #server: Socket
  readonly #weather: Weather
  /** What the client has said last. */
  #said = ''
  /** The `after`s that the client has said. */
  readonly #heard = new Set<ArmedRule>()
  /** It is cut when the server answers. */
  #losing: ArmedRule | undefined
  #waiting = 0
  #last = Promise.resolve()
  readonly #swallowing = { client: false, server: false }

  constructor(client: Socket, server: Socket, weather: Weather) {
    this.#client = client
    this.#server = server
    this.#weather = weather
    client.on('data', (data: Buffer) => this.#fromClient(data))
    server.on('data', (data: Buffer) => this.#fromServer(data))
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', ignore)
      one.on('end', () => this.#later(() => other.end()))
      one.on('close', () => {
        // What it has sent before is on its way to the other.
        this.#later(() => other.destroySoon())
        this.onClose()
      })
    }
  }

  cut(how: Cut): void {
    for (const socket of [this.#client, this.#server]) {
      if (how === 'reset') socket.resetAndDestroy()
      else socket.destroy()
    }
  }

  swallow(from: 'client' | 'server' | 'both'): void {
    if (from !== 'server') this.#swallowing.client = true
    if (from !== 'client') this.#swallowing.server = true
  }

  #fromClient(data: Buffer): void {
    if (this.#swallowing.client) return
    const rule = this.#match(data)
    if (rule?.lose === 'request') {
      this.cut(rule.how ?? 'reset')
      rule.done()
      return
    }
    this.#losing ??= rule
    this.#later(() => this.#server.write(data))
  }

  #fromServer(data: Buffer): void {
    const rule = this.#losing
    if (rule !== undefined) {
      this.cut(rule.how ?? 'reset')
      rule.done()
      return
    }
    if (this.#swallowing.server) return
    this.#later(() => this.#client.write(data))
  }

  /** The rule that what the client says now fulfils. */
  #match(data: Buffer): ArmedRule | undefined {
    const { rules } = this.#weather
    if (rules.size === 0) return undefined
    const text = this.#said + data.toString('latin1')
    this.#said = text.slice(-OVERLAP)
    for (const rule of rules) {
      const at = text.lastIndexOf(rule.at)
      if (rule.after !== undefined && text.includes(rule.after)) this.#heard.add(rule)
      if (at < 0 || at + rule.at.length <= text.length - data.length) continue
      if (rule.after === undefined || this.#heard.has(rule)) return rule
    }
    return undefined
  }

  /** In the order of the calls, also when the delay changes meanwhile. */
  #later(act: () => void): void {
    const delay = this.#weather.delay()
    if (delay === 0 && this.#waiting === 0) return act()
    const due = performance.now() + delay
    this.#waiting += 1
    this.#last = this.#last.then(async () => {
      await sleep(Math.max(0, due - performance.now()))
      this.#waiting -= 1
      act()
    })
  }
}

function ignore(): void {
  // A connection that breaks is what this is for.
}
