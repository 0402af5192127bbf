/**
 * For the command line: `npx tandem status --config examples/shop/tandem.config.ts` looks into the shop's services. SHOP_DATA names
 * the folder of their files, for example one that `npm run demo -- --data DIR --keep` has left.
 */
import { defineConfig } from 'tandem/admin'
import { embedded } from 'tandem/embedded'

const folder = process.env['SHOP_DATA'] ?? './data'

export default defineConfig(['order', 'stock', 'payment'].map((service) => ({ service, ...embedded(folder) })))
