import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { createAdmin, errorText, isTandemError, readConfig, TandemError, type Admin } from 'tandem/admin'
import { UsageError } from './errors.ts'
import type { Io } from './io.ts'

const CONFIG_NAMES = ['tandem.config.ts', 'tandem.config.js', 'tandem.config.mjs']

/** The administration of the services that the configuration names. */
export async function loadAdmin(io: Io, options: { config?: string; service?: string }): Promise<Admin> {
  const file = findConfig(io.cwd, options.config)
  io.enter(dirname(file))
  const stores = await readConfig(await importDefault(file), file)
  if (options.service === undefined || stores.some(({ service }) => service === options.service)) {
    return createAdmin({ stores })
  }
  const known = stores.map(({ service }) => service).join(', ')
  throw new UsageError(`--service ${options.service}: ${file} has no such service; it has ${known}`)
}

/** The given file, or the nearest one of the known names, here or in a folder above. */
function findConfig(cwd: string, given: string | undefined): string {
  if (given !== undefined) {
    const file = resolve(cwd, given)
    if (existsSync(file)) return file
    throw new UsageError(`--config ${given}: there is no such file`)
  }
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    const found = CONFIG_NAMES.map((name) => join(folder, name)).find((file) => existsSync(file))
    if (found !== undefined) return found
    if (folder === dirname(folder)) break
  }
  throw new UsageError(
    `there is no ${CONFIG_NAMES[0]} (or .js, .mjs) in ${cwd} or above it; write one that exports { service, store }, or name a file with --config`,
  )
}

async function importDefault(file: string): Promise<unknown> {
  let loaded: unknown
  try {
    loaded = await import(pathToFileURL(file).href)
  } catch (error) {
    // The adapters' own refusals of wrong settings are clear as they are.
    if (isTandemError(error)) throw error
    throw new TandemError('CONFIG_INVALID', `cannot load ${file}: ${reasonOf(error)}`, { cause: error })
  }
  if (typeof loaded === 'object' && loaded !== null && 'default' in loaded) return loaded.default
  throw new TandemError(
    'CONFIG_INVALID',
    `${file} has no default export; write export default defineConfig({ service, store })`,
  )
}

function reasonOf(error: unknown): string {
  const { code } = error as { code?: unknown }
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION') {
    return `Node ${process.version} cannot read TypeScript; use Node 22.18 or later, or write the file in JavaScript`
  }
  if (code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') {
    return `${errorText(error)}; Node only strips types, so enums, namespaces and parameter properties are not possible`
  }
  return errorText(error)
}
