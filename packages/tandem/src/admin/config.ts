import { TandemError } from '../core/errors.ts'
import { checkServices, type AdminService } from './services.ts'

/** What a `tandem.config.ts` exports by default. */
export type TandemConfig = TandemConfigValue | (() => TandemConfigValue | Promise<TandemConfigValue>)

/** One service, or several. */
export type TandemConfigValue = AdminService | readonly AdminService[]

/**
 * Gives a `tandem.config.ts` its types.
 *
 * @example export default defineConfig({ service: 'order', ...embedded('./data') })
 */
export function defineConfig(config: TandemConfig): TandemConfig {
  return config
}

/**
 * The services of what a configuration file exports.
 *
 * @param file its name, for messages
 * @throws TandemError `CONFIG_INVALID`, `NAME_INVALID`, `OPTION_UNKNOWN`
 */
export async function readConfig(config: unknown, file: string): Promise<readonly AdminService[]> {
  const value: unknown = typeof config === 'function' ? await (config as () => unknown)() : config
  if (typeof value === 'object' && value !== null) return checkServices(file, Array.isArray(value) ? value : [value])
  throw new TandemError(
    'CONFIG_INVALID',
    `${file}: the default export must be { service, store, broker? }, a list of those, or a function that returns it`,
  )
}
