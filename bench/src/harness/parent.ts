import { Mailbox, type Letter } from './mailbox.ts'

/** The other end of `Child`: what a program that a bench has started uses. */
const mailbox = new Mailbox()
process.on('message', (letter: Letter) => mailbox.put(letter))

/** Resolves when the parent has disconnected or died: then the program must come to its end. */
export const parentGone: Promise<void> = new Promise((resolve) => process.once('disconnect', resolve))

export function parameters<T>(): T {
  return JSON.parse(process.argv[2] ?? 'null') as T
}

/** Resolves to what the parent tells next under this name. */
export async function told<T>(name: string): Promise<T> {
  return (await mailbox.next(name)) as T
}

/** Resolves when the parent has the letter. */
export function report(name: string, value?: unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.({ name, value }, undefined, undefined, (error) => (error === null ? resolve() : reject(error)))
  })
}
