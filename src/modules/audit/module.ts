import { AuditEntry } from '../../platform/audit/schema.ts'
import { everyEvent } from '../../platform/contract.ts'
import { defineModule } from '../../platform/module.ts'
import { parse } from '../../platform/schema.ts'
import { auditContract } from './contract.ts'
import { createMaintenance } from './maintenance.ts'
import { createEntryRepository } from './repository.ts'
import { auditRoutes } from './routes.ts'
import { createAnchor } from './sealing/anchor.ts'
import { createSealRepository } from './sealing/repository.ts'
import { createSealer } from './sealing/sealer.ts'
import { createAuditService } from './service.ts'
import { applicationRole, deadLetters, inbox, outbox } from './tables.ts'
import { createTrailRepository } from './verification/repository.ts'

export default defineModule({
  contract: auditContract,
  needs: {},
  tables: { outbox, inbox, deadLetters },
  databaseRole: applicationRole,
  create: ({ db, config, keys, log, metrics }) => {
    const entries = createEntryRepository(db)
    const seals = createSealRepository(db)
    const anchor =
      config.auditAnchor === undefined
        ? undefined
        : createAnchor({ address: config.auditAnchor, credentials: config.awsCredentials })
    const sealer = createSealer({ repository: seals, keys, anchor, log })
    const service = createAuditService({ entries, seals, trail: createTrailRepository(db), sealer, keys, log })
    const maintenance = createMaintenance({ repository: entries, log, production: config.production })
    metrics.gauge('audit_unsealed', 'entries of the audit trail that wait for their seal', async () => {
      return (await seals.backlog()).unsealed
    })
    if (anchor) {
      metrics.gauge('audit_anchor_behind', 'checkpoints of the audit trail that are not anchored yet', async () => {
        return (await seals.backlog()).unanchored
      })
    }
    return {
      api: { record: async ({ entries: given }) => ({ recorded: await service.record(given) }) },
      handlers: {
        [everyEvent]: (event) => service.onEvent(event.id, parse(AuditEntry, (event as { entry?: unknown }).entry)),
      },
      routes: async (app) => {
        await app.register(auditRoutes, { service })
      },
      start: () => {
        maintenance.start()
        sealer.start()
      },
      close: async () => {
        maintenance.close()
        await sealer.close()
      },
    }
  },
})
