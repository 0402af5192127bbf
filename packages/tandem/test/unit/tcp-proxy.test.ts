// The proxy that fault tests put between a service and its database must do what its name says, or they test nothing.
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { TcpProxy } from '../support/tcp-proxy.ts'

/** A server that remembers what it hears and answers it in capitals. */
class Shouter {
  readonly server: Server = createServer()
  readonly sockets: Socket[] = []
  heard = ''

  async start(): Promise<number> {
    this.server.on('connection', (socket) => {
      this.sockets.push(socket)
      socket.on('error', () => undefined)
      socket.on('data', (data) => {
        this.heard += data.toString()
        socket.write(data.toString().toUpperCase())
      })
    })
    this.server.listen(0, '127.0.0.1')
    await once(this.server, 'listening')
    return (this.server.address() as AddressInfo).port
  }
}

/** A connection, and how it ends. */
class Client {
  readonly socket: Socket
  readonly closed: Promise<string>
  #text = ''

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1')
    let how = 'end'
    this.socket.on('data', (data) => (this.#text += data.toString()))
    this.socket.on('error', (error) => (how = (error as { code?: string }).code ?? 'none'))
    this.closed = new Promise((resolve) => this.socket.on('close', () => resolve(how)))
  }

  say(text: string): void {
    this.socket.write(text)
  }

  async heard(text: string): Promise<void> {
    while (!this.#text.includes(text)) await once(this.socket, 'data')
  }

  get text(): string {
    return this.#text
  }
}

describe('TcpProxy', () => {
  let shouter: Shouter
  let proxy: TcpProxy
  let clients: Client[]
  const open = (): Client => {
    const client = new Client(proxy.port)
    clients.push(client)
    return client
  }

  beforeEach(async () => {
    shouter = new Shouter()
    clients = []
    proxy = await TcpProxy.start({ host: '127.0.0.1', port: await shouter.start() })
  })
  afterEach(async () => {
    for (const { socket } of clients) socket.destroy()
    await proxy.close()
    await new Promise((resolve) => shouter.server.close(resolve))
  })

  test('passes everything on, both ways, and the end', async () => {
    const client = open()
    client.say('hello')
    await client.heard('HELLO')
    expect(proxy.connections).toBe(1)
    client.socket.end()
    expect(await client.closed).toBe('end')
    expect(shouter.heard).toBe('hello')
  })

  test('cuts all connections, as a machine that is gone or as a server that closes', async () => {
    const [one, two] = [open(), open()]
    one.say('a')
    two.say('b')
    await Promise.all([one.heard('A'), two.heard('B')])
    proxy.cutAll()
    expect(await Promise.all([one.closed, two.closed])).toEqual(['ECONNRESET', 'ECONNRESET'])
    expect(proxy.connections).toBe(0)

    const three = open()
    three.say('c')
    await three.heard('C')
    proxy.cutAll('end')
    expect(await three.closed).toBe('end')
  })

  test('loses a request: the server never sees it, and other connections go on', async () => {
    const [one, two] = [open(), open()]
    const cut = proxy.cutAt({ at: 'commit', lose: 'request' })
    two.say('begin;')
    one.say('begin;')
    await Promise.all([one.heard('BEGIN;'), two.heard('BEGIN;')])
    one.say('commit;')
    await cut
    expect(await one.closed).toBe('ECONNRESET')
    expect(shouter.heard).not.toContain('commit')
    // Once, and no more.
    two.say('commit;')
    await two.heard('COMMIT;')
  })

  test('loses an answer: the server has seen the request and answered', async () => {
    const client = open()
    const cut = proxy.cutAt({ at: 'commit', lose: 'answer', how: 'end' })
    client.say('begin;')
    await client.heard('BEGIN;')
    client.say('commit;')
    await cut
    expect(await client.closed).toBe('end')
    expect(shouter.heard).toBe('begin;commit;')
    expect(client.text).toBe('BEGIN;')
  })

  test('finds a text that comes in two pieces, and the connection that has said something before', async () => {
    const [one, two] = [open(), open()]
    const cut = proxy.cutAt({ after: 'orders', at: 'commit', lose: 'answer' })
    two.say('other;commit;')
    await two.heard('COMMIT;')
    one.say('ord')
    await one.heard('ORD')
    one.say('ers;com')
    await one.heard('ERS;COM')
    one.say('mit;')
    await cut
    await one.closed
    expect(shouter.heard).toContain('mit;')
    expect(two.socket.destroyed).toBe(false)
  })

  test('swallows what one side says, and tells nobody; new connections are whole', async () => {
    const client = open()
    client.say('a')
    await client.heard('A')
    proxy.swallow('server')
    client.say('b')
    while (!shouter.heard.includes('b')) await once(shouter.sockets[0]!, 'data')
    const other = open()
    other.say('c')
    await other.heard('C')
    expect([client.text, client.socket.destroyed]).toEqual(['A', false])
    proxy.swallow('client')
    client.say('d')
    other.say('e')
    // What `other` says now it says in vain as well.
    const last = open()
    last.say('f')
    await last.heard('F')
    expect(shouter.heard).toBe('abcf')
  })

  test('delays, in order, also when the delay ends', async () => {
    const client = open()
    client.say('a')
    await client.heard('A')
    proxy.delay(40)
    const began = performance.now()
    client.say('b')
    await client.heard('B')
    // There and back.
    expect(performance.now() - began).toBeGreaterThan(75)
    client.say('c')
    // On another connection the answer takes its time as well: by then the proxy has what came before.
    const other = open()
    other.say('x')
    await other.heard('X')
    proxy.delay(0)
    client.say('d')
    await client.heard('D')
    expect(client.text).toBe('ABCD')
  })

  test('turns connections away, and lets them in again', async () => {
    proxy.refuse()
    expect(await open().closed).toBe('ECONNRESET')
    proxy.accept()
    const client = open()
    client.say('a')
    await client.heard('A')
  })
})
