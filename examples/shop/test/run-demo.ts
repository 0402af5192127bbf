import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const DEMO = fileURLToPath(new URL('../src/demo.ts', import.meta.url))
const FLAGS = ['--conditions=tandem-source', '--disable-warning=ExperimentalWarning']

export interface DemoRun {
  readonly code: number | null
  readonly output: string
}

/** Runs the demo as a person does, with its output in a pipe. */
export function runDemo(...args: string[]): Promise<DemoRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...FLAGS, DEMO, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, output }))
  })
}
