import { TandemError } from '../core/errors.ts'
import { checkHeaders, checkKey } from '../core/limits.ts'
import type { Draft } from '../core/message.ts'
import { validate } from '../core/schema.ts'
import { toHeaders, type Envelope } from '../core/wire.ts'
import type { OutgoingMessage } from '../spi/store.ts'
import type { Runtime } from './runtime.ts'

type Context = Pick<Runtime<unknown>, 'service' | 'clock' | 'limits' | 'newId'>

/**
 * Checks drafts and turns them into what is written: all of them, or none.
 *
 * @param cause the message whose handler sends them; its correlation and trace are carried on
 */
export async function toOutgoing(
  drafts: Draft | readonly Draft[],
  context: Context,
  cause?: Envelope,
): Promise<OutgoingMessage[]> {
  const list: readonly Draft[] = Array.isArray(drafts) ? drafts : [drafts as Draft]
  const outgoing: OutgoingMessage[] = []
  for (const draft of list) outgoing.push(await toOne(draft, context, cause))
  return outgoing
}

async function toOne(
  draft: Draft,
  { service, clock, limits, newId }: Context,
  cause?: Envelope,
): Promise<OutgoingMessage> {
  const messageType = draft?.messageType
  if (messageType?.type === undefined) {
    throw new TandemError('CONFIG_INVALID', 'send: pass what a message type returns, for example OrderPlaced(order)')
  }
  const { type, topic, schema, codec, sensitive, strictOrder } = messageType
  await validate(schema, draft.payload, type)
  const body = codec.encode(draft.payload, limits.payloadDepth)
  if (body.byteLength > limits.payloadBytes) {
    throw new TandemError(
      'MESSAGE_TOO_LARGE',
      `a ${type} message has ${body.byteLength} bytes; at most ${limits.payloadBytes} are allowed (limits.payloadBytes). ` +
        'Send a reference to the data instead, or raise the limit if the broker allows it',
    )
  }
  const { key: givenKey, deliverAt, headers = {} } = draft.options
  const keyOf = messageType.keyOf as ((payload: unknown) => string) | undefined
  const key: unknown = givenKey ?? keyOf?.(draft.payload)
  if (key !== undefined) checkKey(key, type)
  checkHeaders(headers, type, limits)
  if (deliverAt !== undefined && (!(deliverAt instanceof Date) || Number.isNaN(deliverAt.getTime()))) {
    throw new TandemError('CONFIG_INVALID', `deliverAt of a ${type} message must be a valid Date`)
  }
  const id = newId()
  return {
    id,
    type,
    topic,
    key,
    deliverAt,
    strictOrder: strictOrder && key !== undefined,
    body,
    headers: toHeaders({
      id,
      type,
      source: service,
      time: new Date(clock.now()),
      key,
      contentType: codec.contentType,
      causationId: cause?.id,
      correlationId: cause?.correlationId ?? id,
      sensitive,
      plainHeaders: { ...traceOf(cause), ...headers },
    }),
  }
}

/** The trace context is carried on; other headers are the sender's to copy. */
function traceOf(cause: Envelope | undefined): Record<string, string> {
  const trace: Record<string, string> = {}
  for (const name of ['traceparent', 'tracestate']) {
    const value = cause?.plainHeaders[name]
    if (value !== undefined) trace[name] = value
  }
  return trace
}
