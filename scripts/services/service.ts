/** A server that `npm run services` can start: what it needs, and how it is started and stopped. One file for each. */
export interface Service {
  readonly name: string
  /** The packages of Debian that bring it; none if npm has it. */
  readonly packages: readonly string[]
  /** The port on 127.0.0.1, the same as in compose.yaml. */
  readonly port: number
  /** Names of the services that must run first. */
  readonly needs: readonly string[]
  /** Ends it in good order. */
  readonly stopSignal: NodeJS.Signals
  /** What is not there, in words; undefined if it can start. */
  missing(): string | undefined
  /** Starts it so that it outlives this process, on the data that the folder has or on new ones. Resolves when it answers. */
  start(where: StartOptions): Promise<Started>
  /** For clients. */
  url(port: number): string
}

interface StartOptions {
  readonly folder: string
  readonly port: number
  /** The port of another service, one of `needs`. */
  readonly portOf: (name: string) => number
}

interface Started {
  readonly pid: number
}
