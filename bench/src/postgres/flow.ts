export interface FlowParameters {
  /** Of the service's own database. */
  readonly url: string
  /** Where the broker's file is. */
  readonly folder: string
  readonly orders: number
  /** Milliseconds between two orders. */
  readonly pause: number
}
