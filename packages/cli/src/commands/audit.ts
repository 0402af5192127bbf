import type { Command } from 'commander'
import type { AuditView } from 'tandem/admin'
import { leaf, nextHint, withPage, type PageOptions, type Run } from '../command.ts'
import { table, type Column } from '../render/table.ts'

export function auditCommand(parent: Command, run: Run): void {
  leaf<PageOptions>(
    parent,
    'audit',
    {
      summary: 'who replayed, edited, discarded or decided what, and why',
      details: 'The newest first.',
      examples: [
        ['tandem audit', 'the last 50 acts'],
        ['tandem audit --limit 1000 --json', 'for a report'],
      ],
    },
    run,
    withPage,
    async ({ options, admin }) => {
      const page = await admin.audit({ service: options.service }, { limit: options.limit, cursor: options.cursor })
      const columns = admin.services.length > 1 ? [serviceColumn, ...auditColumns] : auditColumns
      return {
        data: page,
        text: (style) => (page.items.length === 0 ? 'Nobody has acted.' : table(page.items, columns, style)),
        hint: nextHint(page.next),
      }
    },
  )
}

const serviceColumn: Column<AuditView> = { title: 'SERVICE', cell: ({ service }) => service }

const auditColumns: readonly Column<AuditView>[] = [
  { title: 'TIME', cell: ({ at }) => at },
  { title: 'BY', cell: ({ by }) => by },
  { title: 'ACTION', cell: ({ action }) => action },
  { title: 'TARGET', cell: ({ target }) => target },
  { title: 'REASON', cell: ({ reason }) => reason ?? '', optional: true },
]
