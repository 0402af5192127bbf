// A project far from this repository into which our packages are installed as their users get them. Needs no network: what the project
// installs besides is packed out of our own node_modules.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Manifest {
  readonly name: string
  readonly version: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
}

interface Packed {
  readonly filename: string
  readonly files: readonly { readonly path: string }[]
}

const library = fileURLToPath(new URL('../../', import.meta.url))
export const manifest: Manifest = manifestOf(library)

export interface InstalledProject {
  /** What was packed of the library. */
  readonly packed: Packed
  /** The project's folder. */
  readonly project: string
  write(name: string, text: string): void
  /** Runs a command in the project to its end; fails with all that it printed unless it succeeds. */
  run(command: string, ...args: string[]): string
  dispose(): void
}

/** Builds and packs the library and installs it, with these packages of our node_modules beside it. */
export function installProject(besides: readonly string[]): InstalledProject {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'tandem-packaging-')))
  const project = join(folder, 'project')
  npm(library, 'run', 'build')
  const packed = pack(library, folder)
  const others = withDependencies([...besides, ...Object.keys(manifest.dependencies ?? {})], folder)
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  npm(project, 'install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', packed.filename, ...others)
  return {
    packed,
    project,
    write: (name, text) => writeFileSync(join(project, name), text),
    run: (command, ...args) => run(project, command, ...args),
    dispose: () => rmSync(folder, { recursive: true, force: true }),
  }
}

function manifestOf(directory: string): Manifest {
  return JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Manifest
}

/** The folder of an installed package, found without asking its export map. */
function directoryOf(name: string): string {
  for (const above of createRequire(import.meta.url).resolve.paths(name) ?? []) {
    const directory = join(above, name)
    try {
      if (manifestOf(directory).name === name) return directory
    } catch {
      // Not in this node_modules: look in the next one up.
    }
  }
  throw new Error(`${name} is not installed`)
}

/** The path of a script of an installed package. */
export function bin(name: string, path: string): string {
  return join(directoryOf(name), path)
}

/** Tarballs of these packages and of all that they depend on. */
function withDependencies(names: readonly string[], folder: string): string[] {
  const found = new Map<string, string>()
  const collect = (name: string): void => {
    if (found.has(name)) return
    const directory = directoryOf(name)
    found.set(name, pack(directory, folder).filename)
    Object.keys(manifestOf(directory).dependencies ?? {}).forEach(collect)
  }
  names.forEach(collect)
  return [...found.values()]
}

function pack(directory: string, folder: string): Packed {
  const output = npm(directory, 'pack', '--json', '--ignore-scripts', '--pack-destination', folder)
  const parsed = JSON.parse(output) as Packed[] | Record<string, Packed>
  // npm 12 answers with an object by package name, older ones with a list.
  const [first] = Object.values(parsed)
  if (first === undefined) throw new Error(`npm pack in ${directory} printed ${output}`)
  return { ...first, filename: join(folder, first.filename) }
}

function npm(directory: string, ...args: string[]): string {
  const cli = process.env['npm_execpath']
  return cli?.endsWith('.js') === true
    ? run(directory, process.execPath, cli, ...args)
    : run(directory, process.platform === 'win32' ? 'npm.cmd' : 'npm', ...args)
}

/** Runs a command to its end; fails with all that it printed unless it succeeds. */
function run(directory: string, command: string, ...args: string[]): string {
  // An npm above us tells its children which folder is theirs; ours have folders of their own.
  const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^npm_config_.*prefix$/i.test(key)))
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: directory,
    env: { ...env, INIT_CWD: directory, NODE_OPTIONS: '', NO_COLOR: '1' },
    encoding: 'utf8',
    shell: command.endsWith('.cmd'),
  })
  if (status !== 0) {
    throw new Error(`${[command, ...args].join(' ')}\nended with ${status}\n${stdout}\n${stderr}`, { cause: error })
  }
  return stdout
}
