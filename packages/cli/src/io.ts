/** Everything that a run of the command sees of the world. Tests bring their own. */
export interface Io {
  readonly stdout: Output
  readonly stderr: Output
  /** Asks the person at the terminal; undefined where nobody is there. An empty answer stands for none. */
  readonly ask: ((question: string) => Promise<string>) | undefined
  /** Lets the person at the terminal edit a text; undefined where nobody is there. */
  readonly edit: ((text: string) => Promise<string>) | undefined
  /** All of standard input. */
  readonly readInput: () => Promise<string>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** The user of the operating system. */
  readonly user: string
  readonly now: () => number
  /** Makes `folder` the working directory, so that the paths in a configuration mean the same wherever the command is run. */
  readonly enter: (folder: string) => void
  /** Runs work that a person may interrupt; a second interrupt ends the process. */
  readonly interruptible: <T>(work: (signal: AbortSignal) => Promise<T>) => Promise<T>
}

export interface Output {
  readonly write: (text: string) => void
  readonly isTTY: boolean
  readonly columns: number | undefined
}
