// `npm run test:all`: every test, those that pack and install the library included. A file of its own because no
// way to set a variable for one command works in every shell.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url))
const { status } = spawnSync(process.execPath, [vitest, 'run', ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { ...process.env, TANDEM_TEST_ALL: '1' },
})
process.exitCode = status ?? 1
