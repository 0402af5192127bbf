import type { AdminSteps } from '../../spi/admin-store.ts'
import { auditSteps, createWriteAudit } from './admin-audit.ts'
import { deadLetterSteps } from './admin-dead-letters.ts'
import { createOverview } from './admin-overview.ts'
import { producerSteps } from './admin-producer.ts'
import { createTrace } from './admin-trace.ts'
import type { MysqlContext } from './context.ts'

export function adminSteps<Tx>(context: MysqlContext<Tx>): AdminSteps {
  const writeAudit = createWriteAudit(context)
  return {
    overview: createOverview(context),
    ...deadLetterSteps(context, writeAudit),
    ...producerSteps(context, writeAudit),
    ...auditSteps(context, writeAudit),
    trace: createTrace(context),
  }
}
