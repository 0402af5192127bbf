import type { StandardSchemaV1 } from '@standard-schema/spec'
import { jsonCodec, type Codec } from './codec.ts'
import { TandemError } from './errors.ts'
import { checkName, checkOptions } from './limits.ts'

/** A message as a consumer sees it. */
export interface Message<Payload = unknown> {
  /** UUIDv7 when Tandem sent it. The same in every copy and every replay: use it as the idempotency key of outside effects. */
  readonly id: string
  readonly type: string
  readonly topic: string
  readonly key: string | undefined
  /** The service that sent it. */
  readonly source: string
  /** When it was sent, by the sender's clock. */
  readonly time: Date
  /** Id of the message whose handler sent this one. */
  readonly causationId: string | undefined
  /** Id of the first message of the chain. */
  readonly correlationId: string
  /** The headers that the sender set, and those of other tools on the way (`traceparent`, …). */
  readonly headers: Readonly<Record<string, string>>
  readonly payload: Payload
}

/** What may be said about one message when it is made. */
export interface MessageOptions {
  /** Replaces the key that the type derives from the payload. */
  readonly key?: string
  /** Not published before this instant. */
  readonly deliverAt?: Date
  /** Lower-case names, string values. `traceparent` and `tracestate` also travel as CloudEvents extensions. */
  readonly headers?: Readonly<Record<string, string>>
}

/** A message that was made and not yet sent. */
export interface Draft<Input = unknown> {
  readonly messageType: AnyMessageType
  readonly payload: Input
  readonly options: MessageOptions
}

export interface MessageDefinition<Input, Output> {
  /** Any Standard Schema. The sender's payload and the receiver's must both pass; the handler gets what the schema returns. */
  readonly schema?: StandardSchemaV1<Input, Output>
  /** Messages of one key and topic are handled in the order in which they were sent. */
  readonly key?: (payload: Input) => string
  /** Default: the type. Types that must keep one order among each other share a topic. */
  readonly topic?: string
  /** Dotted paths of the payload (`card.number`) whose values never reach logs, spans, the command line or pages. */
  readonly sensitive?: readonly string[]
  /** Takes a lock per key at `send`, for senders that do not hold the lock of their business row. Default false. */
  readonly strictOrder?: boolean
  /** Default: strict JSON. */
  readonly codec?: Codec
}

/** Call it to make a message of this type. */
export interface MessageType<Input = unknown, Output = Input> {
  (payload: Input, options?: MessageOptions): Draft<Input>
  readonly type: string
  readonly topic: string
  readonly schema: StandardSchemaV1<Input, Output> | undefined
  readonly keyOf: ((payload: Input) => string) | undefined
  readonly sensitive: readonly string[]
  readonly strictOrder: boolean
  readonly codec: Codec
}

/** A message type whose payload does not matter here. Every message type is assignable to it. */
export type AnyMessageType = Omit<MessageType, 'schema' | 'keyOf'> & {
  (payload: never, options?: MessageOptions): Draft
  readonly schema: StandardSchemaV1 | undefined
  readonly keyOf: ((payload: never) => string) | undefined
}

/** What a handler of this message type gets. */
export type PayloadOf<T> = T extends MessageType<infer _Input, infer Output> ? Output : never

const DEFINITION_OPTIONS = ['schema', 'key', 'topic', 'sensitive', 'strictOrder', 'codec']
const MESSAGE_OPTIONS = ['key', 'deliverAt', 'headers']

/**
 * Defines a message type, shared by the services that send and handle it.
 *
 * @param type its name on the wire (CloudEvents `type`), for example `orders.placed`
 * @throws TandemError `NAME_INVALID`, `OPTION_UNKNOWN`, `CONFIG_INVALID`
 */
export function message<S extends StandardSchemaV1>(
  type: string,
  definition: MessageDefinition<StandardSchemaV1.InferInput<S>, StandardSchemaV1.InferOutput<S>> & {
    readonly schema: S
  },
): MessageType<StandardSchemaV1.InferInput<S>, StandardSchemaV1.InferOutput<S>>
export function message<Payload = unknown>(
  type: string,
  definition?: Omit<MessageDefinition<Payload, Payload>, 'schema'>,
): MessageType<Payload>
export function message(type: string, definition: MessageDefinition<unknown, unknown> = {}): MessageType {
  checkName('message type', type)
  const where = `message(${JSON.stringify(type)})`
  checkOptions(where, definition, DEFINITION_OPTIONS)
  const { schema, key, topic = type, sensitive = [], strictOrder = false, codec = jsonCodec } = definition
  checkName('topic', topic)
  const refuse = (why: string): never => {
    throw new TandemError('CONFIG_INVALID', `${where}: ${why}`)
  }
  if (schema !== undefined && typeof (schema as StandardSchemaV1 | null)?.['~standard']?.validate !== 'function')
    refuse('schema must be a Standard Schema')
  if (key !== undefined && typeof key !== 'function') refuse('key must be a function of the payload')
  if (!Array.isArray(sensitive) || !sensitive.every((path) => typeof path === 'string' && path !== '')) {
    refuse('sensitive must be a list of dotted paths')
  }
  if (typeof strictOrder !== 'boolean') refuse('strictOrder must be true or false')
  if (
    typeof codec?.encode !== 'function' ||
    typeof codec.decode !== 'function' ||
    typeof codec.contentType !== 'string'
  ) {
    refuse('codec must have contentType, encode() and decode()')
  }

  const make = (payload: unknown, options: MessageOptions = {}): Draft => {
    checkOptions(`a ${type} message`, options, MESSAGE_OPTIONS)
    return { messageType, payload, options }
  }
  const messageType: MessageType = Object.assign(make, {
    type,
    topic,
    schema,
    keyOf: key,
    sensitive,
    strictOrder,
    codec,
  })
  return messageType
}
