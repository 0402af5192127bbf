// Everything that createTandem, consume and check refuse; nothing is opened or registered then.
import { describe, expect, test } from 'vitest'
import { memory as memoryBroker } from '../../../src/brokers/memory/index.ts'
import { createTandem, message, type ConsumeOptions, type ErrorCode, type TandemOptions } from '../../../src/index.ts'
import { memory as memoryStore } from '../../../src/stores/memory/index.ts'
import { thrown } from '../../support/errors.ts'
import type { Tx } from '../../support/store.ts'

const valid = (): TandemOptions<Tx> => ({ service: 'order', store: memoryStore(), broker: memoryBroker(), log: false })
const create = (change: object): unknown => createTandem({ ...valid(), ...change })

const A = message<{ n: number }>('a')
const B = message<{ n: number }>('b')
const handler = (): void => undefined

describe('createTandem refuses', () => {
  test.each<[string, ErrorCode, object, RegExp]>([
    ['an option that nothing reads', 'OPTION_UNKNOWN', { servic: 'x' }, /"servic"; known are service, store/],
    ['one below limits', 'OPTION_UNKNOWN', { limits: { paylodBytes: 1 } }, /limits: there is no option "paylodBytes"/],
    ['one below relay', 'OPTION_UNKNOWN', { relay: { interval: 1 } }, /relay: .*known are batchSize/],
    ['one below check', 'OPTION_UNKNOWN', { check: { transactionTimeout: 1 } }, /transactionTimeOut/],
    ['one below retention', 'OPTION_UNKNOWN', { retention: { outbox: 1 } }, /known are inbox, half/],
    ['no service', 'NAME_INVALID', { service: undefined }, /service name/],
    ['a service with a newline', 'NAME_INVALID', { service: 'or\nder' }, /"or\\nder"/],
    ['no store', 'CONFIG_INVALID', { store: undefined }, /store must be a store/],
    ['a driver in place of a store', 'CONFIG_INVALID', { store: {} }, /store must be a store/],
    ['null as a store', 'CONFIG_INVALID', { store: null }, /store must be a store/],
    ['no broker', 'CONFIG_INVALID', { broker: undefined }, /broker must be a broker/],
    ['a broker adapter that was not called', 'CONFIG_INVALID', { broker: memoryBroker }, /broker must be a broker/],
    ['limits that are no object', 'CONFIG_INVALID', { limits: 5 }, /limits: must be an object/],
    ['limits that are null', 'CONFIG_INVALID', { limits: null }, /limits: must be an object/],
    ['a limit that is no number', 'CONFIG_INVALID', { limits: { payloadBytes: '1' } }, /limits.payloadBytes: must be/],
    ['a limit of 0', 'CONFIG_INVALID', { limits: { headerCount: 0 } }, /limits.headerCount/],
    ['a depth that no stack can take', 'CONFIG_INVALID', { limits: { payloadDepth: 1e6 } }, /from 1 to 1000/],
    ['a batch of NaN', 'CONFIG_INVALID', { relay: { batchSize: Number.NaN } }, /relay.batchSize/],
    ['an infinite interval', 'CONFIG_INVALID', { relay: { pollInterval: Infinity } }, /relay.pollInterval/],
    ['half a check', 'CONFIG_INVALID', { check: { transactionCheckMax: 1.5 } }, /whole number/],
    ['a retention of 0', 'CONFIG_INVALID', { retention: { inbox: 0 } }, /retention.inbox/],
    ['a lease that is too short', 'CONFIG_INVALID', { lease: 99 }, /lease: must be a whole number from 100/],
    ['a lease of half milliseconds', 'CONFIG_INVALID', { lease: 1000.5 }, /whole number/],
    ['a log that cannot log', 'CONFIG_INVALID', { log: { warn: handler } }, /log must have warn\(\) and error\(\)/],
    ['a log that is null', 'CONFIG_INVALID', { log: null }, /log must have/],
    ['a clock that is none', 'CONFIG_INVALID', { clock: { now: Date.now } }, /clock must have/],
    ['a clock that is null', 'CONFIG_INVALID', { clock: null }, /clock must have/],
    ['a random that is a number', 'CONFIG_INVALID', { random: 0.5 }, /random must be a function/],
  ])('%s', (_name, code, change, text) => {
    expect(thrown(code, () => create(change)).message).toMatch(text)
  })

  test.each([undefined, null, 'order', 5])('%s in place of its options', (options) => {
    thrown('CONFIG_INVALID', () => createTandem(options as unknown as TandemOptions<Tx>))
  })

  test('nothing that is right', () => {
    const log = { warn: handler, error: handler }
    const all = {
      limits: { payloadBytes: 1, payloadDepth: 1, headerCount: 1, headerBytes: 1 },
      relay: { batchSize: 1, pollInterval: 1, giveUpAfter: 1 },
      check: { transactionTimeOut: 1, transactionCheckInterval: 1, transactionCheckMax: 1 },
      retention: { inbox: 1, half: 1 },
      lease: 100,
      log,
      random: () => 0,
    }
    expect(() => create(all)).not.toThrow()
    expect(() => create({ limits: {}, relay: undefined, log: undefined })).not.toThrow()
  })
})

describe('consume refuses', () => {
  test.each<[string, ErrorCode, ConsumeOptions | null, RegExp]>([
    [
      'an option that nothing reads',
      'OPTION_UNKNOWN',
      { grup: 'x' } as object,
      /consume\(a\): .*"grup"; known are group/,
    ],
    ['one below retry', 'OPTION_UNKNOWN', { retry: { attempts: 3 } } as object, /consume\(a\): retry: .*"attempts"/],
    ['options that are null', 'CONFIG_INVALID', null, /must be an object/],
    ['a retry that is a number', 'CONFIG_INVALID', { retry: 3 } as object, /retry: must be an object/],
    ['a retry policy that makes no sense', 'CONFIG_INVALID', { retry: { maxAttempts: 0 } }, /retry.maxAttempts/],
    ['a group with a newline', 'NAME_INVALID', { group: 'a\n' }, /consumer group name/],
    ['a time limit of 0', 'CONFIG_INVALID', { timeout: 0 }, /timeout/],
    ['a time limit beyond what timers can do', 'CONFIG_INVALID', { timeout: 2 ** 31 }, /timeout/],
    ['transaction: "no"', 'CONFIG_INVALID', { transaction: 'no' } as object, /transaction must be true or false/],
    ['ordered: 1', 'CONFIG_INVALID', { ordered: 1 } as object, /ordered must be true or false/],
    ['a concurrency of 0', 'CONFIG_INVALID', { concurrency: 0 }, /concurrency/],
    ['a concurrency of 1001', 'CONFIG_INVALID', { concurrency: 1001 }, /concurrency/],
    ['half a message in a transaction', 'CONFIG_INVALID', { transactionSize: 1.5 }, /transactionSize/],
    ['unknownTypes: "drop"', 'CONFIG_INVALID', { unknownTypes: 'drop' } as object, /"dead" or "ignore"/],
  ])('%s', (_name, code, options, text) => {
    const tandem = createTandem(valid())
    expect(thrown(code, () => tandem.consume(A, handler, options as ConsumeOptions)).message).toMatch(text)
    // Nothing was registered, so that the corrected call is no duplicate and contradicts nothing.
    tandem.consume(A, handler, { ordered: true, concurrency: 2, transactionSize: 3, unknownTypes: 'ignore' })
  })

  test.each<[string, unknown, unknown]>([
    ['no message type', undefined, handler],
    ['null', null, handler],
    ['an empty list', [], handler],
    ['a list with a hole', [A, undefined], handler],
    ['a draft', A({ n: 1 }), handler],
    ['a name', 'a', handler],
    ['no handler', A, undefined],
    ['a handler that is an object', A, {}],
  ])('%s', (_name, types, given) => {
    const tandem = createTandem(valid())
    thrown('CONFIG_INVALID', () => tandem.consume(types as typeof A, given as typeof handler))
    tandem.consume(A, handler)
  })

  test('a second handler of a type in a group, and says that another group may have one', () => {
    const tandem = createTandem(valid())
    tandem.consume(A, handler)
    const { message: text } = thrown('HANDLER_DUPLICATE', () => tandem.consume([B, A], handler))
    expect(text).toMatch(/group order has a handler for a already.*group of its own/)
    tandem.consume(B, handler)
    tandem.consume(A, handler, { group: 'audit' })
    thrown('HANDLER_DUPLICATE', () => tandem.consume(A, handler, { group: 'order' }))
  })

  test('a list that names a type twice', () => {
    thrown('HANDLER_DUPLICATE', () => createTandem(valid()).consume([A, A], handler))
  })

  test.each<[keyof ConsumeOptions, unknown, unknown]>([
    ['ordered', true, false],
    ['concurrency', 1, 2],
    ['transactionSize', 1, 2],
    ['unknownTypes', 'dead', 'ignore'],
  ])('two handlers of one group that contradict each other in %s', (name, one, other) => {
    const tandem = createTandem(valid())
    tandem.consume(A, handler, { [name]: one })
    const { message: text } = thrown('CONFIG_INVALID', () => tandem.consume(B, handler, { [name]: other }))
    expect(text).toContain(`${name} is ${String(one)} in one consume() and ${String(other)} in another`)
    tandem.consume(B, handler, { [name]: one })
    tandem.consume(A, handler, { [name]: other, group: 'audit' })
  })
})

describe('check refuses', () => {
  const answer = (): 'commit' => 'commit'
  test.each<[string, unknown, unknown]>([
    ['no message type', undefined, answer],
    ['null', null, answer],
    ['a name', 'a', answer],
    ['no answer', A, undefined],
    ['an answer in place of a function', A, 'commit'],
  ])('%s', (_name, type, given) => {
    const tandem = createTandem(valid())
    thrown('CONFIG_INVALID', () => tandem.check(type as typeof A, given as typeof answer))
    tandem.check(A, answer)
  })

  test('a second check for a type', () => {
    const tandem = createTandem(valid())
    tandem.check(A, answer)
    expect(thrown('HANDLER_DUPLICATE', () => tandem.check(A, answer)).message).toContain('a check for a already')
    tandem.check(B, answer)
  })
})
