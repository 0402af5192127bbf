import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ServerDatabase } from './databases.ts'
import type { ServiceName } from './protocol.ts'

/** A table of PostgreSQL for which there is no room. */
export interface FullDisk {
  /** From here on there is no room for what is inserted into this table, and only there. */
  fill(service: ServiceName, table: string): void
  makeRoom(): void
  remove(): void
}

const ROOT = process.platform === 'linux' && process.getuid?.() === 0

/** A disk of a few megabytes where this process may mount one, and otherwise a trigger that says what a full disk says. */
export function fullDisk(database: ServerDatabase): FullDisk {
  return (ROOT ? mounted(database) : undefined) ?? pretended(database)
}

function mounted(database: ServerDatabase): FullDisk | undefined {
  const path = mkdtempSync(join(tmpdir(), 'tandem-disk-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,uid=65534,gid=65534,mode=700', 'tmpfs', path], {
      stdio: 'ignore',
    })
  } catch {
    rmSync(path, { recursive: true })
    return undefined
  }
  const name = `disk_${randomBytes(4).toString('hex')}`
  const filler = join(path, 'filler')
  database.execute('order', `CREATE TABLESPACE ${name} LOCATION '${path}'`)
  const moved: [ServiceName, string][] = []
  const moveBack = (): void => {
    rmSync(filler, { force: true })
    for (const [service, table] of moved.splice(0)) {
      database.execute(service, `ALTER TABLE ${table} SET TABLESPACE pg_default`)
    }
  }
  return {
    fill: (service, table) => {
      moveBack()
      database.execute(service, `ALTER TABLE ${table} SET TABLESPACE ${name}`)
      moved.push([service, table])
      const { bavail, bsize } = statfsSync(path)
      writeFileSync(filler, Buffer.alloc(bavail * bsize))
    },
    makeRoom: () => rmSync(filler, { force: true }),
    remove: () => {
      moveBack()
      database.execute('order', `DROP TABLESPACE ${name}`)
      execFileSync('umount', [path])
      rmSync(path, { recursive: true })
    },
  }
}

function pretended(database: ServerDatabase): FullDisk {
  const filled: [ServiceName, string][] = []
  const makeRoom = (): void => {
    for (const [service, table] of filled.splice(0)) database.execute(service, `DROP TRIGGER full_disk ON ${table}`)
  }
  return {
    fill: (service, table) => {
      database.execute(
        service,
        `CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
         CREATE TRIGGER full_disk BEFORE INSERT ON ${table} FOR EACH ROW EXECUTE FUNCTION full_disk()`,
      )
      filled.push([service, table])
    },
    makeRoom,
    remove: makeRoom,
  }
}
