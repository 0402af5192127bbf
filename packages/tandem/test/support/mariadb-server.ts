export { MariadbServer, type MariadbAddress } from '../../../../scripts/servers/mariadb.ts'
