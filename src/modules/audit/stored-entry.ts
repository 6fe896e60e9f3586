import canonicalize from 'canonicalize'
import { type Static, Type } from 'typebox'
import { AuditEntry } from '../../platform/audit/schema.ts'
import { Nullable, Timestamp } from '../../platform/schema.ts'

/** Grows up to the largest integer that JSON parsers agree on. */
export const EntryId = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })

export const StoredEntry = Type.Object(
  {
    id: EntryId,
    recorded_at: Type.String({ ...Timestamp, description: 'when the trail took it; `timestamp` is when it happened' }),
    ...AuditEntry.properties,
  },
  { title: 'StoredAuditEntry' },
)
export type StoredEntry = Static<typeof StoredEntry>

export const TrailEntry = Type.Object(
  {
    ...StoredEntry.properties,
    index: Nullable(Type.Integer({ description: 'its place in the tree (RFC 9162 leaf index); null until it is sealed' })),
  },
  { title: 'TrailEntry' },
)
export type TrailEntry = Static<typeof TrailEntry>

/** One row of the table. */
export interface EntryRow extends Omit<AuditEntry, 'actor' | 'resource'> {
  id: number
  recorded_at: string
  actor_type: string
  actor_id: string | null
  resource_type: string
  resource_id: string | null
  resource_version: number | null
}

/** Only the stored members: if a producer signed more, its signature does not match. */
export const signedPart = (entry: AuditEntry): AuditEntry => ({
  event_id: entry.event_id.toLowerCase(),
  timestamp: entry.timestamp,
  trace_id: entry.trace_id,
  span_id: entry.span_id,
  actor: { type: entry.actor.type, id: entry.actor.id },
  resource: { type: entry.resource.type, id: entry.resource.id, version: entry.resource.version },
  action: entry.action,
  decision: entry.decision,
  policy_version: entry.policy_version,
  compliance_tags: entry.compliance_tags,
  details: entry.details,
  service: entry.service,
  key_id: entry.key_id,
  signature: entry.signature,
})

export const storedEntry = (row: EntryRow): StoredEntry => ({
  id: row.id,
  recorded_at: row.recorded_at,
  ...signedPart({
    ...row,
    actor: { type: row.actor_type, id: row.actor_id },
    resource: { type: row.resource_type, id: row.resource_id, version: row.resource_version },
  }),
})

/** The content of a leaf hash: RFC 8785 of the entry with its signature, its id and its recording time. */
export const leafBytes = ({ id, recorded_at, ...entry }: StoredEntry): Buffer =>
  Buffer.from(canonicalize({ id, recorded_at, ...signedPart(entry) }) as string)
