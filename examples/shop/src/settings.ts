import type { TandemOptions } from 'tandem'

/** What a service is told from outside: the broker, and how patient it is. What it is called, and where its tables are, it knows itself. */
export type Settings = Omit<TandemOptions<never>, 'service' | 'store'>
