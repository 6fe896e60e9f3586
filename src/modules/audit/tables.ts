import { sql } from 'drizzle-orm'
import { bigint, check, index, jsonb, pgSchema, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import type { AuditEntry } from '../../platform/audit/schema.ts'
import { deadLetterTable, inboxTable, outboxTable, subscriptionTable, timestamptz } from '../../platform/events/tables.ts'

export const schema = pgSchema('audits')

/** The role of the service's statements, under any login: it can add to the trail and read it. */
export const applicationRole = 'orderhub_audit'

const number = () => bigint({ mode: 'number' })

/**
 * Every entry, as it was signed. A second migration partitions this table by month and makes it append-only. Nothing deletes a
 * partition; entries must be kept for five years or longer.
 */
export const entries = schema.table(
  'entries',
  {
    id: number().generatedAlwaysAsIdentity(),
    /** When this database wrote it: nobody can choose it. `timestamp` is the time of the event according to the producer. */
    recorded_at: timestamptz().notNull().defaultNow(),
    event_id: uuid().notNull(),
    /** Text, because its bytes are signed. */
    timestamp: text().notNull(),
    trace_id: text().notNull(),
    span_id: text().notNull(),
    actor_type: text().notNull(),
    actor_id: text(),
    resource_type: text().notNull(),
    resource_id: text(),
    resource_version: number(),
    action: text().notNull(),
    decision: text().notNull(),
    policy_version: text().notNull(),
    compliance_tags: jsonb().$type<string[]>().notNull(),
    details: jsonb().$type<Record<string, unknown>>().notNull(),
    service: text().notNull(),
    key_id: text().notNull(),
    signature: text().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.recorded_at, table.id] }),
    index('entries_by_id').on(table.id),
    index('entries_by_actor').on(table.actor_id, table.recorded_at),
    index('entries_by_resource').on(table.resource_type, table.resource_id, table.recorded_at),
    index('entries_by_trace').on(table.trace_id),
    check('entries_decision', sql`${table.decision} in ('approved', 'denied')`),
  ],
)

/**
 * The event of every entry. A trigger on the entries writes it, and refuses an entry whose event already has one. A unique index
 * cannot do this: on a partitioned table it would have to include the time.
 */
export const eventIds = schema.table('event_ids', {
  event_id: uuid().primaryKey(),
  /** The service whose entry it has. */
  service: text().notNull(),
})

/** Entries with an unknown key. The primary key is their hash: a forged entry cannot keep out another one. */
export const parked = schema.table(
  'parked',
  {
    digest: text().primaryKey(),
    service: text().notNull(),
    key_id: text().notNull(),
    entry: jsonb().$type<AuditEntry>().notNull(),
    parked_at: timestamptz().notNull().defaultNow(),
  },
  (table) => [index('parked_by_key').on(table.service, table.key_id)],
)

/** Entries that are not in the tree yet. */
export const pending = schema.table('pending', { entry_id: number().primaryKey() })

/** The tree's leaves (RFC 9162): the entry of each index, from 0 without gaps. Hashes are SHA-256 in base64. */
export const seals = schema.table('seals', {
  leaf_index: number().primaryKey(),
  entry_id: number().notNull().unique('seals_entry'),
  leaf_hash: text().notNull(),
})

/** Hashes of complete subtrees: of the 2^level leaves from node_index * 2^level on. Level 0 is `seals`. */
export const nodes = schema.table(
  'nodes',
  { level: number().notNull(), node_index: number().notNull(), hash: text().notNull() },
  (table) => [primaryKey({ columns: [table.level, table.node_index] })],
)

/** Signed tree heads, as C2SP tlog-checkpoint notes. */
export const checkpoints = schema.table('checkpoints', {
  size: number().primaryKey(),
  note: text().notNull(),
  created_at: timestamptz().notNull().defaultNow(),
})

/** @public Written by the previous version for its anchoring; no longer read, and removed in the next release. */
export const anchored = schema.table('anchored', { size: number().primaryKey() })

export const outbox = outboxTable(schema)
export const subscriptions = subscriptionTable(schema)
export const inbox = inboxTable(schema)
export const deadLetters = deadLetterTable(schema)
