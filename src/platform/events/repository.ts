import { eq, type SQL, sql } from 'drizzle-orm'
import { arrayLiteral, type Database } from '../db.ts'
import { type Page, type PageRequest, pageOf } from '../page.ts'
import type { EventEnvelope, NewEvent } from './event.ts'
import type { DeadLetterTable, InboxTable, OutboxTable } from './tables.ts'

/**
 * The outbox row of a change, as the body of a CTE in the change's own statement: one row for each row of `source`,
 * which has the aggregate's `id` and `version`. `data` is an SQL expression of type jsonb over `source`; an
 * event says nothing more where it is left out.
 */
export const appendEvent = (outbox: OutboxTable, event: NewEvent, source: SQL, data: SQL = sql.raw(`'{}'::jsonb`)): SQL => sql`
  insert into ${outbox} (id, type, aggregate_id, version, actor, traceparent, policy_version, data)
  select ${event.id}::uuid, ${event.type}, source.id::text, source.version, ${JSON.stringify(event.actor)}::jsonb, ${event.traceparent}, ${event.policy_version}, ${data}
    from ${source} as source`

export interface ClaimedEvent {
  readonly event: EventEnvelope
  readonly attempts: number
  readonly delivered: readonly string[]
}

interface ClaimedRow extends EventEnvelope {
  attempts: number
  delivered: string[]
}

export type OutboxRepository = ReturnType<typeof createOutboxRepository>

/** The queues of each event type's subscribers. */
export type Routes = Readonly<Record<string, readonly string[]>>

export const createOutboxRepository = (db: Database, outbox: OutboxTable, routes: Routes) => {
  const routeRows = JSON.stringify(Object.entries(routes).map(([type, queues]) => ({ type, queues })))
  return {
    /**
     * Takes up to `limit` rows that are due and puts them off: by 15 s at first, then twice as long each time, up to 5 min.
     * A row comes back when its jobs were not seen completed by then.
     */
    claim: async (limit: number): Promise<ClaimedEvent[]> => {
      const rows = await db.run<ClaimedRow>(sql`
      update ${outbox} as o
         set available_at = now() + least(interval '15 seconds' * power(2, least(attempts, 10)), interval '5 minutes'), attempts = attempts + 1
        from (select id from ${outbox} where available_at <= now() order by available_at limit ${limit} for update skip locked) as due
       where o.id = due.id
      returning o.id, o.type, o.aggregate_id, o.version, o.actor, o.traceparent, o.policy_version, o.created_at as occurred_at, o.data, o.attempts,
                to_jsonb(o.delivered) as delivered`)
      return rows.map(({ attempts, delivered, ...event }) => ({ event, attempts, delivered }))
    },

    /** Gives rows back after a failed hand-over: due again after `delayMs`. */
    release: async (ids: readonly string[], delayMs: number): Promise<void> => {
      await db.run(sql`
      update ${outbox} set available_at = now() + ${delayMs}::int * interval '1 millisecond', attempts = greatest(attempts - 1, 0)
       where id = any (${arrayLiteral(ids)}::uuid[])`)
    },

    /** Makes up to `limit` rows due that were put off; answers how many there were. */
    recall: async (limit: number): Promise<number> => {
      const [row] = await db.run<{ recalled: number }>(sql`
      with recalled as (
        update ${outbox} set available_at = now(), attempts = least(attempts, 1)
         where id in (select id from ${outbox} where available_at > now() limit ${limit} for update skip locked) returning 1
      )
      select count(*)::int as recalled from recalled`)
      return row?.recalled ?? 0
    },

    /** Records that `queue` is done with these events; a row that each of its type's queues is done with goes away. */
    delivered: async (ids: readonly string[], queue: string): Promise<void> => {
      await db.run(sql`
      with locked as materialized ( -- the newest row: another queue may be recorded at the same time
        select id, type, delivered from ${outbox} where id = any (${arrayLiteral(ids)}::uuid[]) order by id for update
      ), seen as (
        select l.id, l.delivered, to_jsonb(l.delivered) @> (r.queues - ${queue}) as finished
          from locked l join jsonb_to_recordset(${routeRows}::jsonb) as r(type text, queues jsonb) using (type)
         where r.queues ? ${queue}
      ), marked as (
        update ${outbox} as o set delivered = array_append(seen.delivered, ${queue})
          from seen where o.id = seen.id and not seen.finished and not (${queue} = any (seen.delivered))
      )
      delete from ${outbox} as o using seen where o.id = seen.id and seen.finished`)
    },

    drop: async (ids: readonly string[]): Promise<void> => {
      await db.run(sql`delete from ${outbox} where id = any (${arrayLiteral(ids)}::uuid[])`)
    },

    /** Depth in rows, and the oldest row's age in seconds. */
    backlog: async (): Promise<{ depth: number; ageSeconds: number }> => {
      const [row] = await db.run<{ depth: number; age: number }>(
        sql`select count(*)::int as depth, coalesce(extract(epoch from now() - min(created_at)), 0)::float8 as age from ${outbox}`,
      )
      return { depth: row?.depth ?? 0, ageSeconds: row?.age ?? 0 }
    },
  }
}

/** The inbox rows of the events of `source`, as the body of a CTE: it answers a row for an event's first delivery alone. */
export const receiveEvents = (inbox: InboxTable, source: SQL): SQL =>
  sql`insert into ${inbox} (event_id) select event_id from ${source} order by event_id on conflict do nothing returning event_id`

/** Longer than a job can come back: by then no second delivery is to be recognized any more. */
const inboxDays = 14

export type InboxRepository = ReturnType<typeof createInboxRepository>

export const createInboxRepository = (db: Database, inbox: InboxTable) => ({
  /** Forgets events received so long ago that they cannot be delivered again. */
  prune: async (): Promise<void> => {
    await db.run(sql`delete from ${inbox} where received_at < now() - ${inboxDays} * interval '1 day'`)
  },
})

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

export type DeadLetterRepository = ReturnType<typeof createDeadLetterRepository>

export const createDeadLetterRepository = (db: Database, deadLetters: DeadLetterTable, outbox: OutboxTable) => ({
  record: async (event: EventEnvelope, reason: string, attempts: number): Promise<void> => {
    await db.run(sql`
      insert into ${deadLetters} (event_id, type, event, reason, attempts)
      values (${event.id}::uuid, ${event.type}, ${JSON.stringify(event)}::jsonb, ${reason}, ${attempts})
      on conflict (event_id) do update set reason = excluded.reason, attempts = excluded.attempts, failed_at = now()`)
  },

  page: async ({ limit, after }: PageRequest): Promise<Page<DeadLetter>> => {
    const rows = await db.use((orm) =>
      orm
        .select()
        .from(deadLetters)
        .where(
          after ? sql`(${deadLetters.failed_at}, ${deadLetters.id}) < (${after.at}::timestamptz, ${after.id}::int)` : undefined,
        )
        .orderBy(sql`${deadLetters.failed_at} desc, ${deadLetters.id} desc`)
        .limit(limit + 1),
    )
    return pageOf(rows, limit, ({ failed_at, id }) => ({ at: failed_at, id }))
  },

  byEvent: async (eventId: string): Promise<DeadLetter | undefined> => {
    const [row] = await db.use((orm) => orm.select().from(deadLetters).where(eq(deadLetters.event_id, eventId)))
    return row
  },

  /** Says that it is to be delivered again, with the event that has it delivered; undefined when there is none. */
  requestReplay: async (eventId: string, event: NewEvent): Promise<DeadLetter | undefined> => {
    const [row] = await db.run<DeadLetter>(sql`
      with changed as (
        update ${deadLetters} set version = version + 1 where event_id = ${eventId}::uuid returning *
      ), event as (${appendEvent(
        outbox,
        event,
        sql`(select event_id as id, version, type from changed)`,
        sql`jsonb_build_object('event_id', source.id, 'type', source.type)`,
      )})
      select * from changed`)
    return row
  },

  remove: async (eventId: string): Promise<void> => {
    await db.use((orm) => orm.delete(deadLetters).where(eq(deadLetters.event_id, eventId)))
  },

  count: (): Promise<number> => db.use((orm) => orm.$count(deadLetters)),
})
