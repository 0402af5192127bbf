export { PostgresServer, type PostgresAddress } from '../../../../scripts/servers/postgres.ts'
