import { eq, type SQL, sql } from 'drizzle-orm'
import type { DeadLetterReplayed } from '../contract.ts'
import { arrayLiteral, type Database } from '../db/database.ts'
import { allOf, during, equals, newestFirst } from '../db/page.sql.ts'
import { type Page, type PageRequest, pageOf } from '../page.ts'
import type { EventEnvelope, NewEvent } from './event.ts'
import { appendEvents } from './outbox-repository.ts'
import type { DeadLetterTable, OutboxTable } from './tables.ts'

export interface DeadLetter {
  id: number
  event_id: string
  type: string
  event: Record<string, unknown>
  reason: string
  attempts: number
  version: number
  failed_at: string
}

/** Selects the dead letters that fit all given criteria. */
export interface DeadLetterFilter {
  readonly event_ids?: readonly string[]
  readonly type?: string
  /** Failed before this time, ISO 8601. */
  readonly before?: string
}

/** The event that replays a dead letter; the statement adds which one. */
type ReplayEvent = NewEvent<string, DeadLetterReplayed>

export type ReplayRequest = { readonly outcome: 'requested'; readonly letter: DeadLetter } | { readonly outcome: 'not_found' }

export type DeadLetterRepository = ReturnType<typeof createDeadLetterRepository>

export const createDeadLetterRepository = (db: Database, deadLetters: DeadLetterTable, outbox: OutboxTable) => {
  /** Replays at most `events.length` letters, with one event each. */
  const replay = (where: SQL, lock: SQL, events: readonly ReplayEvent[]) =>
    db.write<DeadLetter>(sql`
      with locked as materialized (
        select id, version, failed_at from ${deadLetters} where ${where}
         order by version, failed_at, id limit ${events.length} ${lock}
      ), numbered as materialized (
        select id, row_number() over (order by version, failed_at, id)::int as n from locked
      ), changed as (
        update ${deadLetters} as d set version = d.version + 1 from numbered where d.id = numbered.id returning d.*, numbered.n
      ), event as (${appendEvents(outbox, events, sql`(select n, event_id as id, version, type from changed)`, {
        event_id: sql<string>`source.id`,
        type: sql<string>`source.type`,
      })})
      select id, event_id, type, event, reason, attempts, version, failed_at from changed`)

  return {
    record: async (event: EventEnvelope, reason: string, attempts: number): Promise<void> => {
      await db.run(sql`
        insert into ${deadLetters} (event_id, type, event, reason, attempts)
        values (${event.id}::uuid, ${event.type}, ${JSON.stringify(event)}::jsonb, ${reason}, ${attempts})
        on conflict (event_id) do update set reason = excluded.reason, attempts = excluded.attempts, failed_at = now()`)
    },

    page: async (page: PageRequest): Promise<Page<DeadLetter>> => {
      const { after, orderBy, limit } = newestFirst(page, { at: deadLetters.failed_at, id: deadLetters.id })
      const rows = await db.use((orm) => orm.select().from(deadLetters).where(after).orderBy(orderBy).limit(limit))
      return pageOf(rows, page.limit, ({ failed_at, id }) => ({ at: failed_at, id }))
    },

    byEvent: async (eventId: string): Promise<DeadLetter | undefined> => {
      const [row] = await db.use((orm) => orm.select().from(deadLetters).where(eq(deadLetters.event_id, eventId)))
      return row
    },

    /** Marks a letter for replay, with the event that replays it. */
    requestReplay: async (eventId: string, event: ReplayEvent): Promise<ReplayRequest> => {
      const [row] = await replay(sql`event_id = ${eventId}::uuid`, sql`for update`, [event])
      return row ? { outcome: 'requested', letter: row } : { outcome: 'not_found' }
    },

    /**
     * The same for as many letters as there are events: those with the fewest replays, oldest first. Returns how many there were.
     * Skips letters that a concurrent replay has locked.
     */
    requestReplays: async ({ event_ids, type, before }: DeadLetterFilter, events: readonly ReplayEvent[]): Promise<number> => {
      const conditions = allOf([
        event_ids && sql`event_id = any (${arrayLiteral(event_ids)}::uuid[])`,
        equals(sql`type`, type),
        ...during(sql`failed_at`, { to: before }),
      ])
      return (await replay(conditions, sql`for update skip locked`, events)).length
    },

    remove: async (eventId: string): Promise<void> => {
      await db.use((orm) => orm.delete(deadLetters).where(eq(deadLetters.event_id, eventId)))
    },

    count: (): Promise<number> => db.use((orm) => orm.$count(deadLetters)),
  }
}
