import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createAdmin } from '../../../src/admin/index.ts'
import { embedded } from '../../../src/embedded.ts'

let parent: string

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'tandem-looking-'))
})

afterEach(() => rmSync(parent, { recursive: true, force: true }))

it('makes nothing where nothing is, and says what is missing', async () => {
  const folder = join(parent, 'mistyped')
  const admin = createAdmin({ service: 'order', ...embedded(folder) })
  const [order] = await admin.status()
  expect(order).toMatchObject({ problem: { code: 'STORE_UNAVAILABLE' } })
  expect(JSON.stringify(order)).toContain('mistyped/order.db')
  expect(existsSync(folder)).toBe(false)
  await admin.close()
})

it('makes the database when it is told to migrate', async () => {
  const folder = join(parent, 'new')
  const admin = createAdmin({ service: 'order', ...embedded(folder) })
  await admin.schema.migrate()
  expect(readdirSync(folder)).toContain('order.db')
  expect(readdirSync(folder)).not.toContain('broker.db')
  await admin.close()
})
