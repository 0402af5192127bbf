/** What a library above one of PostgreSQL is made into a driver with. */
export { LayerBinding as PostgresLayerBinding, type Layer as PostgresLayer, type Lent } from './shared-layer.ts'
