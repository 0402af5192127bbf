import { createAdmin, type Admin, type DeadLetterView } from 'tandem/admin'
import { SERVICES, type ServiceName } from '../services.ts'
import type { ServiceDatabase } from './databases/database.ts'
import { UNKNOWN_ARTICLE, type Plan } from './plan.ts'
import type { ServiceProcess } from './service-process.ts'
import type { View } from './view.ts'

/** So often one dead letter is replayed before it is left to the books. */
const PATIENCE = 5

/**
 * Whoever looks after the shop: sees what has become a dead letter, repairs what was wrong, and has it handled again. Works with
 * `tandem/admin`, as the command line does.
 */
export class Person {
  readonly #admin: Admin
  readonly #plan: Plan
  readonly #stock: ServiceProcess
  readonly #view: View
  readonly #poison: ReadonlySet<string>
  readonly #replays = new Map<string, number>()
  #isFixed = false

  constructor(
    databases: Readonly<Record<ServiceName, ServiceDatabase>>,
    plan: Plan,
    stock: ServiceProcess,
    view: View,
  ) {
    this.#admin = createAdmin({ stores: SERVICES.map((service) => ({ service, store: databases[service].store })) })
    this.#plan = plan
    this.#stock = stock
    this.#view = view
    this.#poison = new Set(plan.poison.map(({ orderId }) => orderId))
  }

  /** Looks at the dead letters, and does something about them. */
  async look(): Promise<void> {
    const { items } = await this.#admin.deadLetters.list()
    const poison = items.filter(({ key }) => key !== null && this.#poison.has(key))
    const others = items.filter((letter) => !poison.includes(letter))
    // A service was killed over and over, and always while it handled the same message.
    if (others.length > 0) await this.#replay(others, 'its process died each time')
    if (!this.#isFixed && poison.length === this.#poison.size) await this.#addArticle(poison)
    if (this.#isFixed && poison.length > 0) await this.#replay(poison, `the article ${UNKNOWN_ARTICLE} was missing`)
  }

  close(): Promise<void> {
    return this.#admin.close()
  }

  /** The fix. In earnest it might be a new version of the service. */
  async #addArticle(letters: readonly DeadLetterView[]): Promise<void> {
    const [first] = letters
    this.#view.note(
      `${letters.length} orders have become dead letters in stock after ${first?.attempts} attempts: "${first?.error}".`,
      'yellow',
    )
    this.#view.note(
      'They are set aside with their history, and no other order has waited for them. Now the fix:',
      'yellow',
    )
    const quantity = this.#plan.articles.get(UNKNOWN_ARTICLE) ?? 0
    await this.#stock.ask({ do: 'add-article', sku: UNKNOWN_ARTICLE, quantity })
    this.#isFixed = true
    this.#view.note(`somebody adds the article ${UNKNOWN_ARTICLE} to the stock, and replays them.`, 'yellow')
  }

  async #replay(letters: readonly DeadLetterView[], reason: string): Promise<void> {
    const refs = letters.filter(({ id }) => (this.#replays.get(id) ?? 0) < PATIENCE)
    for (const { id } of refs) this.#replays.set(id, (this.#replays.get(id) ?? 0) + 1)
    if (refs.length === 0) return
    const selection = { refs: refs.map(({ service, group, id }) => ({ service, group, id })) }
    const { results } = await this.#admin.deadLetters.replay(selection, { by: 'the demo', reason })
    // A database that is killed just now leaves some of them for the next time.
    const replayed = new Set(results.filter(({ outcome }) => outcome === 'replayed').map(({ id }) => id))
    const count = replayed.size
    if (count === 0) return
    const keys = refs.flatMap(({ id, key }) => (replayed.has(id) ? [key] : [])).join(', ')
    this.#view.note(
      `replayed ${count} dead letter${count === 1 ? '' : 's'}, each under its own id: ${keys} (${reason}).`,
      'yellow',
    )
  }
}
