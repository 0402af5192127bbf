import { join, relative } from 'node:path'
import { SERVICES, type Place, type ServiceName } from '../services.ts'
import { NAMES } from './server.ts'
import type { DemoOptions } from './options.ts'
import type { Places } from './places.ts'

const LOOK: Readonly<Record<ServiceName, string>> = {
  order: 'SELECT state, count(*) FROM orders GROUP BY state',
  stock: 'SELECT * FROM stock',
  payment: 'SELECT state, count(*), sum(amount) FROM payments GROUP BY state',
}

/** Tells how to look into what a run has left. @param places undefined if it has left nothing */
export function whatNext(folder: string, places: Places | undefined, { database }: DemoOptions): void {
  if (places === undefined) {
    const options = database === 'sqlite' ? '' : `--database ${database} `
    console.log(`
Everything is removed. To look into the databases yourself, run it again with --keep:
  npm run demo -- ${options}--keep`)
    return
  }
  const looks = SERVICES.map((service) => `  ${look(service, places.of(service))}`)
  const elsewhere = SERVICES.filter((service) => places.of(service).database !== 'sqlite')
  const variables = elsewhere.map((service) => ` SHOP_${service.toUpperCase()}='${shown(places.of(service).url)}'`)
  const config = relative(process.cwd(), join(import.meta.dirname, '../../tandem.config.ts'))
  console.log(`
The files are in ${folder}. Look into the databases, if you have the clients:
${looks.join('\n')}
or with Tandem's command line (npm run build makes it):
  export SHOP_DATA=${folder}${variables.join('')}
  npx tandem status --config ${config}
  npx tandem audit --config ${config}`)
  for (const kind of places.servers) {
    const { pid, folder: files } = places.server(kind)!
    console.log(`${NAMES[kind]} is still running. To end it:\n  kill ${pid}; rm -rf ${files}`)
  }
}

function look(service: ServiceName, { database, url }: Place): string {
  const sql = `"${LOOK[service]}"`
  switch (database) {
    case 'sqlite':
      return `sqlite3 ${join(url, `${service}.db`)} ${sql}`
    case 'postgres':
      return `psql '${shown(url)}' -c ${sql}`
    case 'mysql':
      return `${mariadb(url)} -e ${sql}`
  }
}

/** No password on the screen: there stands PASSWORD in its place. */
function shown(text: string): string {
  const url = new URL(text)
  if (url.password !== '') url.password = 'PASSWORD'
  return url.href
}

/** Its client takes no connection string. */
function mariadb(text: string): string {
  const url = new URL(text)
  const port = url.port === '' ? '' : ` -P ${url.port}`
  const password = url.password === '' ? '' : ' -p'
  return `mariadb -h ${url.hostname}${port} -u ${decodeURIComponent(url.username)}${password} ${url.pathname.slice(1)}`
}
