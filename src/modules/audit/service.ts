import type { Logger } from 'pino'
import { isSigned } from '../../platform/audit/entry.ts'
import type { AuditEntry } from '../../platform/audit/schema.ts'
import { fail } from '../../platform/errors.ts'
import type { KeyStore } from '../../platform/keys/key-store.ts'
import { type Page, type PageRequest, pageOf } from '../../platform/page.ts'
import { assertCleanText } from '../../platform/text.ts'
import type { EntryFilter, EntryRepository } from './repository.ts'
import type { SealRepository, StoredCheckpoint } from './sealing/repository.ts'
import type { Sealer } from './sealing/sealer.ts'
import { inclusionParts, inclusionProof } from './sealing/tree.ts'
import { signedPart, type TrailEntry } from './stored-entry.ts'
import type { TrailRepository } from './verification/repository.ts'
import { writeSnapshot } from './verification/snapshot.ts'

export interface AuditServiceOptions {
  readonly entries: EntryRepository
  readonly seals: Pick<SealRepository, 'newest' | 'sealOf' | 'readNodes'>
  readonly trail: Pick<TrailRepository, 'leaves'>
  readonly sealer: Pick<Sealer, 'added'>
  readonly keys: Pick<KeyStore, 'verifier'>
  readonly log: Logger
}

/** That an entry is in the tree which the checkpoint signs (RFC 9162, 2.1.3). Hashes are SHA-256 in base64. */
export interface Proof {
  readonly id: number
  readonly index: number
  readonly tree_size: number
  readonly leaf_hash: string
  readonly hashes: string[]
  readonly checkpoint: string
}

/** A refusal's entry in the form in which events come, so that it can be delivered again. */
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

export type AuditService = ReturnType<typeof createAuditService>

export const createAuditService = ({ entries, seals, trail, sealer, keys, log }: AuditServiceOptions) => {
  /** What may be believed: as it will be stored, signed by the service that it names. */
  const isGenuine = (entry: AuditEntry): boolean => Number.isSafeInteger(entry.resource.version ?? 0) && isSigned(keys, entry)

  const add = async (genuine: readonly AuditEntry[]): Promise<number> => {
    const recorded = genuine.length > 0 ? await entries.record(genuine) : 0
    sealer.added(recorded)
    return recorded
  }

  const newest = async (): Promise<StoredCheckpoint> => {
    const checkpoint = await seals.newest()
    if (!checkpoint) throw fail('audit.not_sealed')
    return checkpoint
  }

  return {
    /** Puts a change on the trail. @throws audit.invalid_signature, which makes the event a dead letter */
    onEvent: async (eventId: string, entry: AuditEntry): Promise<void> => {
      const stored = signedPart(entry)
      assertCleanText(stored)
      if (stored.event_id !== eventId || !isGenuine(stored)) {
        log.error({ event_id: eventId, service: entry.service }, 'an audit entry is not signed by the service that it names')
        throw fail('audit.invalid_signature', { event_ids: [eventId] })
      }
      await add([stored])
    },

    /** Puts refusals on the trail. @throws audit.invalid_signature when some are not; they become dead letters */
    record: async (given: readonly AuditEntry[]): Promise<number> => {
      const stored = given.map(signedPart)
      assertCleanText(stored)
      const genuine = stored.filter(isGenuine)
      const recorded = await add(genuine)
      if (genuine.length === stored.length) return recorded
      const rejected = stored.filter((entry) => !genuine.includes(entry))
      const event_ids = rejected.map(({ event_id }) => event_id)
      log.error({ event_ids }, 'audit entries are not signed by the service that they name')
      await entries.reject(
        rejected.map((entry) => ({
          event_id: entry.event_id,
          type: entry.action,
          event: deliveryOf(entry),
          reason: 'audit.invalid_signature',
        })),
      )
      throw fail('audit.invalid_signature', { event_ids })
    },

    list: async (page: PageRequest, filter: EntryFilter): Promise<Page<TrailEntry>> =>
      pageOf(await entries.page(page, filter), page.limit, ({ recorded_at, id }) => ({
        at: recorded_at.replace('.000Z', 'Z'),
        id,
      })),

    get: async (id: number): Promise<TrailEntry> => {
      const entry = await entries.byId(id)
      if (!entry) throw fail('audit.not_found', { id })
      return entry
    },

    /** @throws audit.not_found, audit.not_sealed */
    prove: async (id: number): Promise<Proof> => {
      const seal = await seals.sealOf(id)
      if (!seal) throw fail((await entries.byId(id)) ? 'audit.not_sealed' : 'audit.not_found', { id })
      const { size, note } = await newest()
      const hashOf = await seals.readNodes(inclusionParts(seal.index, size).flat())
      return {
        id,
        index: seal.index,
        tree_size: size,
        leaf_hash: seal.hash.toString('base64'),
        hashes: inclusionProof(seal.index, size, hashOf).map((hash) => hash.toString('base64')),
        checkpoint: note,
      }
    },

    checkpoint: newest,

    /** JSON Lines of every sealed entry, read in pages as they are taken. */
    snapshot: async (): Promise<AsyncGenerator<string>> => {
      const checkpoint = await newest()
      return writeSnapshot(checkpoint, trail.leaves(checkpoint.size))
    },
  }
}
