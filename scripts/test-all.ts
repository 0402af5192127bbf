// `npm run test:all`: every test, those on servers and those that pack and install the library included; a skip is a failure. A file of its
// own because no way to set a variable for one command works in every shell.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { installMissing, whyNotInstall } from './services/install.ts'
import { SERVICES } from './services/services.ts'

const INSTALL = '--install'
const args = process.argv.slice(2)

process.exitCode = serversAreThere() ? runTests() : 1

/** Installs what is missing if it may: on a machine for tests (CI=true), or when it is told to. */
function serversAreThere(): boolean {
  const missing = SERVICES.filter((service) => service.missing() !== undefined)
  const may = args.includes(INSTALL) || (process.env['CI'] === 'true' && whyNotInstall() === undefined)
  try {
    if (may) installMissing(SERVICES)
    else if (missing.length > 0) throw new Error(missing.map((service) => service.missing()).join('\n'))
    return true
  } catch (error) {
    console.error(
      `All tests need all servers, and some are missing:\n${error instanceof Error ? error.message : String(error)}\n` +
        `On Debian, as root, npm run test:all -- ${INSTALL} brings them; npm test runs without.`,
    )
    return false
  }
}

function runTests(): number {
  const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url))
  const { status } = spawnSync(process.execPath, [vitest, 'run', ...args.filter((arg) => arg !== INSTALL)], {
    stdio: 'inherit',
    env: { ...process.env, TANDEM_TEST_ALL: '1' },
  })
  return status ?? 1
}
