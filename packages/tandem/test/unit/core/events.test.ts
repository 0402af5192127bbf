import { expect, test, vi } from 'vitest'
import { Events } from '../../../src/core/events.ts'

const event = { id: '1', type: 'a', topic: 'a' }

test('every listener gets the event, until it is taken off', () => {
  const events = new Events()
  const seen: string[] = []
  const stop = events.on('message.published', ({ id }) => seen.push(`first ${id}`))
  events.on('message.published', ({ id }) => seen.push(`second ${id}`))
  events.emit('message.published', () => event)
  stop()
  events.emit('message.published', () => event)
  expect(seen).toEqual(['first 1', 'second 1', 'second 1'])
})

test('without a listener the event is not even made', () => {
  const events = new Events()
  const make = (): typeof event => {
    throw new Error('made for nobody')
  }
  events.emit('message.published', make)
  const stop = events.on('message.published', () => undefined)
  expect(events.has('message.published')).toBe(true)
  stop()
  expect(events.has('message.published')).toBe(false)
  events.emit('message.published', make)
})

test.each<[string, () => unknown]>([
  [
    'throws',
    () => {
      throw new Error('in a listener')
    },
  ],
  ['rejects', () => Promise.reject(new Error('in a listener'))],
])('a listener that %s is a warning and harms nobody', async (_name, fail) => {
  const events = new Events()
  let others = 0
  events.on('message.published', fail)
  events.on('message.published', () => void others++)
  using warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
  events.emit('message.published', () => event)
  expect(others).toBe(1)
  await vi.waitFor(() =>
    expect(warn.mock.calls).toEqual([
      ['a listener of message.published failed: Error: in a listener', 'TandemWarning'],
    ]),
  )
})
