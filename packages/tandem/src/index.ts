/**
 * Distributed transactions over a message queue: a service's database commit and the messages it sends are one act, and every consumer
 * applies each message exactly once.
 *
 * @module
 */
export { createTandem, type Tandem } from './tandem.ts'
export type { TandemOptions } from './options.ts'
export {
  message,
  type AnyMessageType,
  type Draft,
  type Message,
  type MessageDefinition,
  type MessageOptions,
  type MessageType,
  type PayloadOf,
} from './core/message.ts'
export { DoNotRetry, ERROR_CODES, isTandemError, TandemError, type ErrorCode } from './core/errors.ts'
export type { RetryPolicy } from './core/backoff.ts'
export { jsonCodec, type Codec } from './core/codec.ts'
export type { TandemEvent, TandemEvents } from './core/events.ts'
export type { CheckSchedule, HalfAnswer, HalfState } from './core/half-state.ts'
export type { DeadReason, InboxState } from './core/inbox-state.ts'
export type { Limits } from './core/limits.ts'
export type { Retention } from './engine/reaper.ts'
export type { RelaySettings } from './engine/relay.ts'
export type { Half, HalfToCheck } from './half/half.ts'
export type { ConsumeOptions, Handler, HandlerContext } from './inbox/options.ts'
export type { Log } from './telemetry/log.ts'
