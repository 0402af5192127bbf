import pg from 'pg'
import { median } from '../harness/statistics.ts'
import type { Bench } from '../harness/suite.ts'
import { createTables, storeOn } from './orders.ts'
import { Rates } from './rates.ts'
import { withDatabases } from './server.ts'

const KINDS = ['send', 'drain', 'handle'] as const

export const snapshot: Bench = {
  name: 'snapshot',
  title:
    'sending, publishing and handling under load while a transaction holds the oldest snapshot for minutes, against none',
  run: ({ slice, minutes, database }) =>
    withDatabases(database, ['free', 'held'], async (freeDatabase, heldDatabase) => {
      const [sends, drains, handles] = slice ? [200, 3000, 200] : [1500, 20_000, 1500]
      await createTables(freeDatabase, heldDatabase)
      // A snapshot keeps back the clean-up of its own database alone, so that two on one server can be compared in turn.
      const sides = { free: new Rates(freeDatabase), held: new Rates(heldDatabase) }
      for (const { pool } of Object.values(sides)) await storeOn(pool).open({ service: 'order' })
      const holder = new pg.Client({ connectionString: heldDatabase.url })
      await holder.connect()
      await holder.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
      await holder.query('SELECT count(*) FROM stock')

      const measured: { readonly at: number; readonly rates: Record<string, number> }[] = []
      const from = performance.now()
      const longest = slice ? 2000 : minutes * 60_000
      do {
        const rates: Record<string, number> = {}
        const order = measured.length % 2 === 0 ? (['free', 'held'] as const) : (['held', 'free'] as const)
        for (const name of order) {
          rates[`send ${name}`] = await sides[name].send(sends)
          rates[`drain ${name}`] = await sides[name].drain(drains, true)
          rates[`handle ${name}`] = await sides[name].handle(handles)
        }
        measured.push({ at: performance.now() - from, rates })
      } while (performance.now() - from < longest)
      await holder.query('ROLLBACK')
      await holder.end()
      await Promise.all(Object.values(sides).map((side) => side.close()))

      // What counts is how it is at the end: the last third of the time.
      const late = measured.filter(({ at }) => at > (longest * 2) / 3)
      const rounds = (late.length > 0 ? late : measured).map(({ rates }) => rates)
      return KINDS.flatMap((kind) => {
        const of = (side: string) => rounds.map((rates) => rates[`${kind} ${side}`] ?? Number.NaN)
        const ratios = rounds.map((rates) => (rates[`${kind} held`] ?? 0) / (rates[`${kind} free`] ?? 0))
        const unit = kind === 'send' ? 'orders/s' : 'messages/s'
        return [
          { name: `${kind}, no snapshot`, value: median(of('free')), unit },
          { name: `${kind}, snapshot held`, value: median(of('held')), unit },
          { name: `${kind}: ratio`, value: median(ratios), unit: '', reach: { atLeast: 0.7 } },
        ]
      })
    }),
}
