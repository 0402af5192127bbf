import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, delimiter, dirname, join } from 'node:path'

export interface MariadbBinaries {
  /** The server itself: `mariadbd`, or `mysqld` of either kind. */
  readonly server: string
  readonly isMariadb: boolean
  /** Makes a new data folder: a program of its own with MariaDB; MySQL's server does it by itself. */
  readonly install: string | undefined
}

/** Says which server to take: the path of a `mariadbd`, or of the `mysqld` of MySQL 8. */
const VARIABLE = 'TANDEM_MYSQLD'

/** Where distributions keep servers, which is seldom in the path. */
const FOLDERS = ['/usr/sbin', '/usr/bin', '/usr/libexec', '/usr/local/sbin', '/usr/local/bin', '/opt/homebrew/bin']
const SERVERS = ['mariadbd', 'mysqld']
const INSTALLERS = ['mariadb-install-db', 'mysql_install_db']

/** Why there is no server, in words. */
export const MARIADB_MISSING = `MariaDB is not installed (Debian: apt-get install mariadb-server; or name a mariadbd or mysqld in ${VARIABLE})`

let found: { readonly binaries: MariadbBinaries | undefined } | undefined

/** The server of this machine; undefined where there is none that can be used. */
export function findMariadb(): MariadbBinaries | undefined {
  found ??= { binaries: look() }
  return found.binaries
}

/** @throws Error when it is not installed */
export function mariadbBinaries(): MariadbBinaries {
  const binaries = findMariadb()
  if (binaries === undefined) throw new Error(MARIADB_MISSING)
  return binaries
}

function look(): MariadbBinaries | undefined {
  const named = process.env[VARIABLE]
  const server = named === undefined || named === '' ? firstOf(SERVERS, searchPath()) : named
  if (server === undefined) return undefined
  const version = versionOf(server)
  if (version === undefined) return undefined
  const isMariadb = /mariadb/i.test(version)
  if (!isMariadb) return { server, isMariadb, install: undefined }
  const root = dirname(dirname(server))
  const install = firstOf(INSTALLERS, [join(root, 'bin'), join(root, 'scripts'), dirname(server), ...searchPath()])
  return install === undefined ? undefined : { server, isMariadb, install }
}

function searchPath(): readonly string[] {
  return [...(process.env['PATH'] ?? '').split(delimiter).filter(Boolean), ...FOLDERS]
}

function firstOf(names: readonly string[], folders: readonly string[]): string | undefined {
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(existsSync)
}

function versionOf(server: string): string | undefined {
  try {
    return execFileSync(server, ['--no-defaults', '--version'], { cwd: tmpdir(), encoding: 'utf8' })
  } catch (error) {
    if (process.env[VARIABLE] === server)
      throw new Error(`${VARIABLE}: ${basename(server)} does not run`, { cause: error })
    return undefined
  }
}
