import type { Database, ServiceName } from '../services.ts'

/** Which service is on which database. */
type Layout = Readonly<Record<ServiceName, Database>>

export const LAYOUTS = {
  sqlite: { order: 'sqlite', stock: 'sqlite', payment: 'sqlite' },
  postgres: { order: 'postgres', stock: 'postgres', payment: 'postgres' },
  mysql: { order: 'mysql', stock: 'mysql', payment: 'mysql' },
  mixed: { order: 'postgres', stock: 'mysql', payment: 'sqlite' },
} as const satisfies Record<string, Layout>

export type LayoutName = keyof typeof LAYOUTS
export const LAYOUT_NAMES = Object.keys(LAYOUTS) as readonly LayoutName[]

/** A database that is a server. */
export type ServerKind = Exclude<Database, 'sqlite'>

export function isLayout(name: string): name is LayoutName {
  return Object.hasOwn(LAYOUTS, name)
}

/** The servers that a layout needs. */
export function serversOf(name: LayoutName): readonly ServerKind[] {
  const databases: readonly Database[] = Object.values(LAYOUTS[name])
  return (['postgres', 'mysql'] as const).filter((kind) => databases.includes(kind))
}
