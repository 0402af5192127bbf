export { findPostgres, POSTGRES_MISSING } from '../../../../scripts/servers/postgres-binaries.ts'
