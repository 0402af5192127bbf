// Brings what Debian has and this machine does not. Never by itself: only when it is asked for.
import { execFileSync } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import type { Service } from './service.ts'

const APT_GET = '/usr/bin/apt-get'

/** Why nothing can be installed here; undefined if it can. */
export function whyNotInstall(): string | undefined {
  if (!existsSync(APT_GET)) return 'only Debian and what comes from it have apt-get'
  if (process.getuid?.() !== 0) return 'only root may install packages'
  return undefined
}

/**
 * Installs the packages of those services that are missing, and starts nothing.
 *
 * @throws Error in words when it cannot
 */
export function installMissing(services: readonly Service[]): void {
  const missing = services.filter((service) => service.missing() !== undefined)
  if (missing.length === 0) return
  const without = missing.find(({ packages }) => packages.length === 0)
  if (without !== undefined) throw new Error(`${without.missing()}: run npm ci`)
  const reason = whyNotInstall()
  const packages = missing.flatMap((service) => service.packages)
  if (reason !== undefined) throw new Error(`cannot install ${packages.join(' ')}: ${reason}`)
  withoutStarting(() => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    const apt = (...args: readonly string[]): unknown =>
      execFileSync(APT_GET, ['-q', '-y', ...args], { env, stdio: ['ignore', 'inherit', 'inherit'] })
    apt('update')
    apt('install', '--no-install-recommends', ...packages)
  })
}

const POLICY = '/usr/sbin/policy-rc.d'

/** Packages of servers start them on their default ports; Debian asks this file first. */
function withoutStarting(work: () => void): void {
  if (existsSync(POLICY)) return work()
  writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    work()
  } finally {
    rmSync(POLICY)
  }
}
