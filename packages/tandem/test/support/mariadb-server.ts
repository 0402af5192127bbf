export { MariadbServer, type MariadbAddress, type MariadbServerOptions } from '../../../../scripts/servers/mariadb.ts'
