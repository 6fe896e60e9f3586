import { AuditEntry } from '../../platform/audit/schema.ts'
import { singleFlight } from '../../platform/concurrency/single-flight.ts'
import { everyEvent } from '../../platform/contract.ts'
import { defineModule } from '../../platform/module.ts'
import { parse } from '../../platform/schema.ts'
import { auditContract } from './contract.ts'
import { createIntake } from './intake.ts'
import { createMaintenance } from './maintenance.ts'
import { createParking } from './parking.ts'
import { createEntryRepository } from './repository.ts'
import { auditRoutes } from './routes.ts'
import { createAnchor } from './sealing/anchor.ts'
import { createAnchoring } from './sealing/anchoring.ts'
import { createSealRepository } from './sealing/repository.ts'
import { createSealer } from './sealing/sealer.ts'
import { createAuditService } from './service.ts'
import { applicationRole, deadLetters, inbox, outbox } from './tables.ts'
import { createTrailRepository } from './verification/repository.ts'

export default defineModule({
  contract: auditContract,
  tables: { outbox, inbox, deadLetters },
  databaseRole: applicationRole,
  config: ['auditAnchor', 'awsCredentials', 'auth', 'production'],
  uses: ['db', 'keys'],
  create: ({ db, config, keys, log, metrics, onStop }) => {
    const entries = createEntryRepository(db)
    const seals = createSealRepository(db)
    const anchor =
      config.auditAnchor === undefined
        ? undefined
        : createAnchor({ address: config.auditAnchor, credentials: config.awsCredentials })
    const anchoring = anchor && createAnchoring({ repository: seals, keys, anchor, log })
    const sealer = createSealer({ repository: seals, keys, anchoring, log })
    onStop('sealer', sealer.close)
    const intake = createIntake({ repository: entries, sealer, log })
    const parking = createParking({ repository: entries, intake, keys, log })
    onStop('parking', parking.close)
    const trail = createTrailRepository(db)
    const service = createAuditService({ entries, intake, parking, seals, trail, keys, auth: config.auth, log })
    const maintenance = createMaintenance({ repository: entries, log, production: config.production })
    onStop('maintenance', maintenance.close)
    metrics.gauge('audit_parked', 'audit entries that wait for a public key that is not known yet', entries.parkedCount)
    // One query for both, which are read at the same moment.
    const unsealed = singleFlight(seals.unsealed)
    metrics.gauge('audit_unsealed', 'entries of the audit trail that wait for their seal', async () => (await unsealed()).count)
    metrics.gauge(
      'audit_unsealed_oldest_seconds',
      'age of the oldest entry that waits for its seal',
      async () => (await unsealed()).age,
    )
    if (anchoring) {
      const lag = singleFlight(anchoring.lag)
      metrics.gauge(
        'audit_anchor_behind',
        'checkpoints of the audit trail that the anchor does not hold',
        async () => (await lag()).checkpoints,
      )
      metrics.gauge(
        'audit_anchor_behind_seconds',
        'age of the oldest checkpoint that the anchor does not hold',
        async () => (await lag()).age,
      )
    }
    return {
      api: { record: async ({ entries: given }, { caller }) => ({ recorded: await service.record(given, caller) }) },
      handlers: {
        [everyEvent]: (event) => service.onEvent(event.id, parse(AuditEntry, (event as { entry?: unknown }).entry)),
      },
      routes: async (app) => {
        await app.register(auditRoutes, { service })
      },
      start: () => {
        maintenance.start()
        parking.start()
        sealer.start()
      },
    }
  },
})
