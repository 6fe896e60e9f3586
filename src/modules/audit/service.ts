import type { Logger } from 'pino'
import { judge, type Verdict } from '../../platform/audit/entry.ts'
import type { AuditEntry } from '../../platform/audit/schema.ts'
import type { KeyStore } from '../../platform/keys/key-store.ts'
import { type Page, type PageRequest, pageOf } from '../../platform/page.ts'
import { assertCleanText } from '../../platform/schema.ts'
import { fail } from './errors.ts'
import type { Intake } from './intake.ts'
import type { Parking } from './parking.ts'
import type { EntryFilter, EntryRepository } from './repository.ts'
import type { SealRepository, StoredCheckpoint } from './sealing/repository.ts'
import { inclusionParts, inclusionProof } from './sealing/tree.ts'
import { signedPart, type TrailEntry } from './stored-entry.ts'
import type { TrailRepository } from './verification/repository.ts'
import { writeSnapshot } from './verification/snapshot.ts'

export interface AuditServiceOptions {
  readonly entries: EntryRepository
  readonly intake: Intake
  readonly parking: Pick<Parking, 'park'>
  readonly seals: Pick<SealRepository, 'newest' | 'sealOf' | 'readNodes'>
  readonly trail: Pick<TrailRepository, 'leaves'>
  readonly keys: Pick<KeyStore, 'verifier'>
  /** Whether services authenticate: not with AUTH=off. */
  readonly auth: boolean
  readonly log: Logger
}

/** Proof that an entry is in the tree of the signed checkpoint (RFC 9162, 2.1.3). Hashes are SHA-256 in base64. */
export interface Proof {
  readonly id: number
  readonly index: number
  readonly tree_size: number
  readonly leaf_hash: string
  readonly hashes: string[]
  readonly checkpoint: string
}

export type AuditService = ReturnType<typeof createAuditService>

export const createAuditService = ({ entries, intake, parking, seals, trail, keys, auth, log }: AuditServiceOptions) => {
  const verdictOf = (entry: AuditEntry): Verdict =>
    Number.isSafeInteger(entry.resource.version ?? 0) ? judge(keys, entry) : 'forged'

  /** @throws audit.event_taken if another service has an entry of one of the events; the others are recorded */
  const add = async (genuine: readonly AuditEntry[]): Promise<number> => {
    const { recorded, taken } = await intake.add(genuine)
    if (taken.length > 0) throw fail('audit.event_taken', { event_ids: taken })
    return recorded
  }

  const newest = async (): Promise<StoredCheckpoint> => {
    const checkpoint = await seals.newest()
    if (!checkpoint) throw fail('audit.not_sealed')
    return checkpoint
  }

  return {
    /**
     * Records a change. An entry with an unknown key waits for the key. @throws audit.invalid_signature, audit.event_taken: the
     * event becomes a dead letter
     */
    onEvent: async (eventId: string, entry: AuditEntry): Promise<void> => {
      const stored = signedPart(entry)
      assertCleanText(stored)
      const verdict = stored.event_id === eventId ? verdictOf(stored) : 'forged'
      if (verdict === 'unknown_key') return parking.park([stored])
      if (verdict === 'signed') return void (await add([stored]))
      log.error({ event_id: eventId, service: entry.service }, 'an audit entry has an invalid signature')
      throw fail('audit.invalid_signature', { event_ids: [eventId] })
    },

    /**
     * Records denials and reads of a service. `caller` is the sending service, undefined with AUTH=off.
     * @throws auth.forbidden for entries of another service; audit.invalid_signature and audit.event_taken for entries that
     * become dead letters
     */
    record: async (given: readonly AuditEntry[], caller: string | undefined): Promise<number> => {
      const stored = given.map(signedPart)
      assertCleanText(stored)
      const foreign = caller === undefined ? auth && stored[0] : stored.find(({ service }) => service !== caller)
      if (foreign) {
        log.error({ caller, service: foreign.service }, 'a service sent audit entries of another service')
        throw fail('auth.forbidden')
      }
      const by = Map.groupBy(stored, verdictOf)
      await parking.park(by.get('unknown_key') ?? [])
      const recorded = await add(by.get('signed') ?? [])
      const forged = await intake.refuse(by.get('forged') ?? [])
      if (forged.length > 0) throw fail('audit.invalid_signature', { event_ids: forged })
      return recorded
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

    /** JSON Lines of every sealed entry, read page by page as they are consumed. */
    snapshot: async (): Promise<AsyncGenerator<string>> => {
      const checkpoint = await newest()
      return writeSnapshot(checkpoint, trail.leaves(checkpoint.size))
    },
  }
}
