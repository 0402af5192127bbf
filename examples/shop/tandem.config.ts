/**
 * For the command line: `npx tandem status --config examples/shop/tandem.config.ts` looks into the shop's services. SHOP_DATA names
 * the folder of their files, for example one that `npm run demo -- --data DIR --keep` has left; SHOP_ORDER, SHOP_STOCK and SHOP_PAYMENT
 * are the connection strings of those that have their database elsewhere.
 */
import { defineConfig, type AdminService } from 'tandem/admin'
import { embedded } from 'tandem/embedded'
import { openDatabase } from './src/demo/databases/database.ts'
import { placeOf, SERVICES } from './src/services.ts'

const folder = process.env['SHOP_DATA'] ?? './data'

export default defineConfig(async () => {
  const services: AdminService[] = []
  for (const service of SERVICES) {
    const { store } = await openDatabase(service, placeOf(process.env[`SHOP_${service.toUpperCase()}`] ?? folder))
    services.push({ service, store, broker: embedded(folder).broker })
  }
  return services
})
