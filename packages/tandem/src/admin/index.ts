/**
 * What the command line and the web console are made of: inspect, replay, decide.
 *
 * @module
 */
export { createAdmin, type Admin, type AdminOptions } from './admin.ts'
export type { ActOptions, Stopped } from './acts.ts'
export { defineConfig, readConfig, type TandemConfig, type TandemConfigValue } from './config.ts'
export type { DeadLetterOutcome, DeadLetterReport, DeadLetterResult, DeadLetters, InboxPlace } from './dead-letters.ts'
export type { DecideReport, HalfAdmin, HalfSearch } from './half.ts'
export type { HeldOptions, HeldReport, HeldResult, HeldSearch, OutboxAdmin } from './outbox.ts'
export type { PageRequest } from './pages.ts'
export type { PayloadView } from './payload.ts'
export {
  DEAD_REASONS,
  type DeadLetterRef,
  type DeadLetterSearch,
  type Selection,
  type SettledRef,
} from './selection.ts'
export type { AdminBroker, AdminService, AdminStore } from './services.ts'
export type { MigrateView, OverviewView, Problem, SchemaView, ServiceStatus } from './status.ts'
export type { TraceOptions, TraceView } from './trace.ts'
export type * from './views.ts'
export type { Act, HeldState } from '../spi/admin-store.ts'
export type { HalfDecision, HalfState } from '../core/half-state.ts'
export type { DeadReason, InboxState } from '../core/inbox-state.ts'
export { errorText, isTandemError, TandemError, type ErrorCode } from '../core/errors.ts'
