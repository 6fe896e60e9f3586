import type { Logger } from 'pino'
import type { AuditEntry } from '../../platform/audit/schema.ts'
import type { EntryRepository } from './repository.ts'
import type { Sealer } from './sealing/sealer.ts'

export interface IntakeOptions {
  readonly repository: Pick<EntryRepository, 'record' | 'taken' | 'reject'>
  readonly sealer: Pick<Sealer, 'added'>
  readonly log: Logger
}

export interface Intake {
  /**
   * Records entries whose signatures are valid. Entries for events that already have another service's entry become dead letters.
   * @returns how many are new, and the events of the dead letters
   */
  add(genuine: readonly AuditEntry[]): Promise<{ recorded: number; taken: string[] }>
  /** Makes dead letters of entries with invalid signatures. @returns their events */
  refuse(forged: readonly AuditEntry[]): Promise<string[]>
}

/** A denial's entry in the form of an event, so that it can be delivered again. */
const deliveryOf = (entry: AuditEntry) => ({
  id: entry.event_id,
  type: entry.action,
  aggregate_id: entry.resource.id ?? '',
  version: entry.resource.version ?? 0,
  actor: entry.actor,
  traceparent: `00-${entry.trace_id}-${entry.span_id}-01`,
  policy_version: entry.policy_version,
  occurred_at: entry.timestamp,
  data: {},
  entry,
})

const eventsOf = (entries: readonly AuditEntry[]): string[] => entries.map(({ event_id }) => event_id)

/** Valid entries are recorded on the trail; the others are kept as dead letters. */
export const createIntake = ({ repository, sealer, log }: IntakeOptions): Intake => {
  const setAside = (given: readonly AuditEntry[], reason: string): Promise<void> =>
    repository.reject(given.map((entry) => ({ event_id: entry.event_id, type: entry.action, event: deliveryOf(entry), reason })))

  return {
    add: async (genuine) => {
      if (genuine.length === 0) return { recorded: 0, taken: [] }
      const recorded = await repository.record(genuine)
      sealer.added(recorded)
      const others = recorded < genuine.length ? await repository.taken(genuine) : []
      const taken = eventsOf(others)
      if (others.length > 0) {
        log.error(
          { event_ids: taken, service: others[0]?.service },
          'another service already recorded audit entries for these events',
        )
        await setAside(others, 'audit.event_taken')
      }
      return { recorded, taken }
    },
    refuse: async (forged) => {
      const event_ids = eventsOf(forged)
      if (forged.length > 0) {
        await setAside(forged, 'audit.invalid_signature')
        log.error({ event_ids }, 'audit entries have an invalid signature')
      }
      return event_ids
    },
  }
}
