// The reference lists the commands and options that there are, and no others.
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { expect, test } from 'vitest'
import { program } from '../../src/program.ts'
import { ioOf } from './harness.ts'

const text = readFileSync(new URL('../../../../docs/reference/cli.md', import.meta.url), 'utf8')

function leaves(command: Command, path: string): { readonly name: string; readonly command: Command }[] {
  if (command.commands.length === 0) return [{ name: path, command }]
  return command.commands.flatMap((child) => leaves(child, `${path} ${child.name()}`))
}

const commands = leaves(program({ io: ioOf({}).io, exitCode: 0 }), 'tandem')

/** The part of the page below each heading of a command. */
const sections = new Map(
  text.split(/^## /m).flatMap((part) => {
    const name = /^`(tandem [a-z -]+?)(?: [[<].*)?`\n/.exec(part)?.[1]
    return name === undefined ? [] : [[name, part] as const]
  }),
)

test('every command has its section', () => {
  expect([...sections.keys()].toSorted()).toEqual(commands.map(({ name }) => name).toSorted())
})

test.each(commands.map(({ name, command }) => [name, command] as const))('%s has its options', (name, command) => {
  const common = ['--service', '--config', '--json', '--verbose']
  const own = command.options.map(({ long }) => long!).filter((option) => !common.includes(option))
  const section = sections.get(name)!
  const sameAs = /Takes the filters of `list`|Options and answers as for `replay`/.test(section)
  const mentioned = new Set(
    (section.replaceAll(/^```[^]*?^```/gm, '').match(/(?<=`)--[a-z]+(?:-[a-z]+)*/g) ?? []).filter(
      (option) => !common.includes(option),
    ),
  )
  if (!sameAs) expect([...mentioned].toSorted()).toEqual(own.toSorted())
  for (const option of common) expect(text).toContain(`\`${option}`)
})
