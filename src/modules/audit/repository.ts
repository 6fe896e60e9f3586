import { hash } from 'node:crypto'
import { type SQL, sql } from 'drizzle-orm'
import type { AuditEntry } from '../../platform/audit/schema.ts'
import { coalesce } from '../../platform/db/batch-loader.ts'
import { arrayLiteral, type Database } from '../../platform/db/database.ts'
import { during, equals, pageClauses } from '../../platform/db/page.sql.ts'
import { receiveEvents } from '../../platform/events/outbox-repository.ts'
import type { PageRequest } from '../../platform/page.ts'
import { type EntryRow, storedEntry, type TrailEntry } from './stored-entry.ts'
import { deadLetters, entries, eventIds, inbox, parked, pending, seals } from './tables.ts'

export interface EntryFilter {
  readonly actor_type?: string
  readonly actor_id?: string
  readonly resource_type?: string
  readonly resource_id?: string
  readonly action?: string
  readonly decision?: 'approved' | 'denied'
  readonly trace_id?: string
  /** Lower bound of recorded_at, inclusive. */
  readonly from?: string
  /** Upper bound of recorded_at, exclusive. */
  readonly to?: string
}

export interface Rejected {
  readonly event_id: string
  readonly type: string
  readonly event: object
  readonly reason: string
}

const columns = sql`event_id, "timestamp", trace_id, span_id, actor_type, actor_id, resource_type, resource_id, resource_version,
  action, decision, policy_version, compliance_tags, details, service, key_id, signature`
/** The same text for a time under any session settings. */
const recordedAt = sql`to_char(e.recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as recorded_at`
export const entryFields = sql`e.id, ${recordedAt}, ${columns}`

const trailEntry = ({ leaf_index, ...row }: EntryRow & { leaf_index: number | null }): TrailEntry => ({
  ...storedEntry(row),
  index: leaf_index,
})

const filterColumns = ['actor_type', 'actor_id', 'resource_type', 'resource_id', 'action', 'decision', 'trace_id'] as const

export type EntryRepository = ReturnType<typeof createEntryRepository>

export const createEntryRepository = (db: Database) => {
  const select = (rest: SQL) =>
    db.run<EntryRow & { leaf_index: number | null }>(sql`
      select ${entryFields}, s.leaf_index from ${entries} e left join ${seals} s on s.entry_id = e.id ${rest}`)

  return {
    /** Adds entries, one per event. Returns how many of each list are new. Concurrent lists share a statement. */
    record: coalesce(
      async (lists: readonly (readonly AuditEntry[])[]): Promise<number[]> => {
        const input = lists.flat().map(({ actor, resource, ...entry }, n) => ({
          ...entry,
          n,
          actor_type: actor.type,
          actor_id: actor.id,
          resource_type: resource.type,
          resource_id: resource.id,
          resource_version: resource.version,
        }))
        const added = await db.run<{ event_id: string }>(sql`
          with input as materialized (
            select distinct on (i.event_id) i.* from jsonb_to_recordset(${JSON.stringify(input)}::jsonb)
              as i(n int, event_id uuid, "timestamp" text, trace_id text, span_id text, actor_type text, actor_id text, resource_type text,
                   resource_id text, resource_version bigint, action text, decision text, policy_version text, compliance_tags jsonb,
                   details jsonb, service text, key_id text, signature text)
          ), fresh as (
            select * from input i where not exists (select from ${eventIds} known where known.event_id = i.event_id)
          ), received as (${receiveEvents(inbox, sql`fresh`)}), -- of two statements at once, one
          added as (
            insert into ${entries} (${columns})
            select ${columns} from fresh
             -- not a join: the planner expects one row of each and would compare each with each
             where (event_id in (select event_id from received)) is true order by n returning id, event_id
          ),
          waiting as (insert into ${pending} (entry_id) select id from added)
          select event_id from added`)
        const ids = new Set(added.map(({ event_id }) => event_id))
        return lists.map((list) => list.reduce((count, { event_id }) => count + (ids.delete(event_id) ? 1 : 0), 0))
      },
      { max: 100, lanes: 2 },
    ),

    /** Of these entries, those whose event already has another service's entry. */
    taken: async (given: readonly AuditEntry[]): Promise<AuditEntry[]> => {
      const input = given.map(({ event_id, service }, n) => ({ n, event_id, service }))
      const rows = await db.run<{ n: number }>(sql`
        select i.n from jsonb_to_recordset(${JSON.stringify(input)}::jsonb) as i(n int, event_id uuid, service text)
          join ${eventIds} known on known.event_id = i.event_id and known.service <> i.service`)
      return rows.map(({ n }) => given[n] as AuditEntry)
    },

    /** Keeps invalid entries beside the trail. */
    reject: async (rejected: readonly Rejected[]): Promise<void> => {
      await db.run(sql`
        insert into ${deadLetters} (event_id, type, event, reason, attempts)
        select distinct on (event_id) event_id, type, event, reason, 1
          from jsonb_to_recordset(${JSON.stringify(rejected)}::jsonb) as r(event_id uuid, type text, event jsonb, reason text)
        on conflict (event_id) do update set reason = excluded.reason, failed_at = now()`)
    },

    /** Keeps entries until their key is known. */
    park: async (waiting: readonly AuditEntry[]): Promise<void> => {
      const rows = waiting.map((entry) => ({ digest: hash('sha256', JSON.stringify(entry)), ...entry, entry }))
      await db.run(sql`
        insert into ${parked} (digest, service, key_id, entry)
        select digest, service, key_id, entry
          from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as r(digest text, service text, key_id text, entry jsonb) order by digest
        on conflict do nothing`)
    },

    /** The keys that parked entries wait for. */
    parkedKeys: (): Promise<{ service: string; key_id: string }[]> => db.run(sql`select distinct service, key_id from ${parked}`),

    /** Up to `limit` entries that wait for this key. */
    parkedFor: (key: { service: string; key_id: string }, limit: number): Promise<{ digest: string; entry: AuditEntry }[]> =>
      db.run(sql`
        select digest, entry from ${parked} where service = ${key.service} and key_id = ${key.key_id} order by digest limit ${limit}`),

    unpark: async (digests: readonly string[]): Promise<void> => {
      await db.run(sql`delete from ${parked} where digest = any (${arrayLiteral(digests)}::text[])`)
    },

    parkedCount: async (): Promise<number> => {
      const [row] = await db.run<{ count: number }>(sql`select count(*)::int as count from ${parked}`)
      return row?.count ?? 0
    },

    byId: async (id: number): Promise<TrailEntry | undefined> => {
      const [row] = await select(sql`where e.id = ${id}`)
      return row && trailEntry(row)
    },

    page: async (page: PageRequest, filter: EntryFilter): Promise<TrailEntry[]> => {
      const rows = await select(
        pageClauses(page, { at: sql`e.recorded_at`, id: sql`e.id`, idType: 'bigint' }, [
          ...during(sql`e.recorded_at`, filter),
          ...filterColumns.map((column) => equals(sql`e.${sql.identifier(column)}`, filter[column])),
        ]),
      )
      return rows.map(trailEntry)
    },

    /** Creates the partitions of this month and the next two. Idempotent, also concurrently. */
    makePartitions: async (): Promise<void> => {
      await db.run(sql`select audits.make_partitions(2)`)
    },

    /** Whether the login could change the trail without the role of its statements. */
    hasExcessRights: async (): Promise<boolean> => {
      const [row] = await db.run<{ excess: boolean }>(sql`
        select has_table_privilege(session_user, 'audits.entries', 'UPDATE, DELETE, TRUNCATE, TRIGGER')
            or pg_has_role(session_user, 'orderhub_audit_owner', 'MEMBER') as excess`)
      return row?.excess ?? false
    },
  }
}
