import { expect, it } from 'vitest'
import { outgoing } from '../../../src/conformance/store-kit.ts'
import { memory } from '../../../src/stores/memory/index.ts'

it('needs no migration, and no two of them share anything', async () => {
  const [one, two] = [memory(), memory()]
  await one.open({ service: 'test' })
  await two.open({ service: 'test' })
  await one.transaction((tx) => one.outbox.insert(tx, [outgoing('a')]))
  expect((await one.admin.overview()).outbox.unsent).toBe(1)
  expect((await two.admin.overview()).outbox.unsent).toBe(0)
  await one.close()
  await two.close()
})

it('refuses options that nothing reads', () => {
  expect(() => memory({ file: 'x' } as never)).toThrow(expect.objectContaining({ code: 'OPTION_UNKNOWN' }))
})
