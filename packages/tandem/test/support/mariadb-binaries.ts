export { findMariadb, MARIADB_MISSING } from '../../../../scripts/servers/mariadb-binaries.ts'
