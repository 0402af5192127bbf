import { SERVICES, type Place, type ServiceName } from '../services.ts'
import { openDatabase, type ServiceDatabase } from './databases/database.ts'
import { LAYOUTS, serversOf, type ServerKind } from './layouts.ts'
import type { DemoOptions } from './options.ts'
import { NAMES, startServer, type OwnServer } from './server.ts'

/** Where the databases of a run are: the servers that it has started for them, the databases on those, and how to look into them. */
export class Places {
  readonly #created: { readonly kind: ServerKind; readonly server: string; readonly name: string }[] = []
  readonly #own = new Map<ServerKind, OwnServer>()
  readonly #databases = new Map<ServiceName, ServiceDatabase>()
  readonly #places = new Map<ServiceName, Place>()

  /**
   * Starts the servers that are needed and not given, and makes the databases.
   *
   * @throws UsageError if one of the databases is there already
   */
  async make(folder: string, options: DemoOptions): Promise<void> {
    try {
      await this.#make(folder, options)
    } catch (error) {
      await this.remove()
      throw error
    }
  }

  of(service: ServiceName): Place {
    return this.#places.get(service)!
  }

  get databases(): Readonly<Record<ServiceName, ServiceDatabase>> {
    return Object.fromEntries(this.#databases) as Record<ServiceName, ServiceDatabase>
  }

  /** The servers that may be killed: those that the demo has started. */
  get servers(): readonly ServerKind[] {
    return [...this.#own.keys()]
  }

  server(kind: ServerKind): OwnServer | undefined {
    return this.#own.get(kind)
  }

  /** Kills a server with SIGKILL and starts it again. */
  async crash(kind: ServerKind): Promise<void> {
    await this.#own.get(kind)?.crash()
  }

  /** Leaves the databases alone from now on. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#databases.values()].map((database) => database.close()))
    this.#databases.clear()
  }

  /** Removes what was made on servers and ends those that are the demo's. Files of SQLite stay. */
  async remove(): Promise<void> {
    await this.close()
    for (const { kind, server, name } of this.#created) {
      if (!this.#own.has(kind)) await (await creators(kind)).drop(server, name)
    }
    this.end()
  }

  /** Ends the servers at once, with all that is in them. Databases on other servers stay. */
  end(): void {
    for (const server of this.#own.values()) server.end()
    this.#own.clear()
  }

  async #make(folder: string, options: DemoOptions): Promise<void> {
    const servers = new Map<ServerKind, string>()
    for (const kind of serversOf(options.database)) {
      if (options[kind] === undefined) this.#own.set(kind, await startServer(kind))
      servers.set(kind, options[kind] ?? this.#own.get(kind)!.url)
    }
    for (const service of SERVICES) {
      const database = LAYOUTS[options.database][service]
      const place = { database, url: database === 'sqlite' ? folder : await this.#create(database, servers, service) }
      this.#places.set(service, place)
      this.#databases.set(service, await openDatabase(service, place))
    }
  }

  async #create(kind: ServerKind, servers: ReadonlyMap<ServerKind, string>, service: ServiceName): Promise<string> {
    const server = servers.get(kind)!
    const name = `shop_${service}`
    const url = await (await creators(kind)).create(server, name)
    this.#created.push({ kind, server, name })
    return url
  }
}

/** The words for the servers of a layout: `PostgreSQL and MariaDB`. */
export function serverNames(kinds: readonly ServerKind[]): string {
  return kinds.map((kind) => NAMES[kind]).join(' and ')
}

async function creators(kind: ServerKind) {
  if (kind === 'postgres') {
    const { createPostgres, dropPostgres } = await import('./databases/postgres.ts')
    return { create: createPostgres, drop: dropPostgres }
  }
  const { createMysql, dropMysql } = await import('./databases/mysql.ts')
  return { create: createMysql, drop: dropMysql }
}
