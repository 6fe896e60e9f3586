import { type SQL, sql } from 'drizzle-orm'
import { arrayLiteral, type Database } from '../db/database.ts'
import type { EventEnvelope, NewEvent } from './event.ts'
import { register, type Subscription, schemaOf, subscribersOf } from './subscription-repository.ts'
import type { DeadLetterTable, InboxTable, OutboxTable } from './tables.ts'

/** Members of an event's data, each with an SQL expression. */
export type SqlData<Members extends object> = { readonly [K in keyof Members]: SQL<Members[K]> }

/** The members that the statement of such an event adds. */
export type SqlDataOf<E> = E extends NewEvent<string, infer Members> ? SqlData<Members> : never

/** The SQL data that an event with those members still needs. */
type More<Members extends object> = Record<never, never> extends Members ? [] : [data: SqlData<NoInfer<Members>>]

/** As an SQL expression of type jsonb. */
export const jsonbObject = <Members extends object>(members: SqlData<Members>): SQL =>
  sql`jsonb_build_object(${sql.join(
    (Object.entries(members) as [string, SQL][]).map(([name, value]) => sql`${sql.raw(`'${name}'`)}, ${value}`),
    sql`, `,
  )})`

/**
 * The outbox rows of a change, as the body of a CTE in the change's own statement: for each row of `source`, which has the
 * aggregate's `id` and `version`, one per subscribed queue. `data`: the members of the event's data that the event does not have
 * yet, as expressions over `source`.
 */
export const appendEvent = <Members extends object>(
  outbox: OutboxTable,
  event: NewEvent<string, Members>,
  source: SQL,
  ...[data]: More<Members>
): SQL => append(outbox, sql`${event.id}::uuid`, event, source, data)

/**
 * The same if each row of `source` gets its own event: the one at its position `n`, from 1. The events differ only in their id.
 * @throws Error without any event
 */
export const appendEvents = <Members extends object>(
  outbox: OutboxTable,
  events: readonly NewEvent<string, Members>[],
  source: SQL,
  ...[data]: More<Members>
): SQL => {
  const [first] = events
  if (!first) throw new Error('an event is needed for each row')
  return append(outbox, sql`(${arrayLiteral(events.map(({ id }) => id))}::uuid[])[source.n]`, first, source, data)
}

const append = <Members extends object>(
  outbox: OutboxTable,
  id: SQL,
  event: NewEvent<string, Members>,
  source: SQL,
  data: object = {},
): SQL => sql`
  insert into ${outbox} (id, queue, type, aggregate_id, version, actor, traceparent, policy_version, data)
  select ${id}, coalesce(subscriber.queue, ''), ${event.type}, source.id::text, source.version, ${JSON.stringify(event.actor)}::jsonb,
         ${event.traceparent}, ${event.policy_version}, ${JSON.stringify(event.data)}::jsonb || ${jsonbObject(data as SqlData<Members>)}
    from ${source} as source left join lateral (${subscribersOf(outbox, sql`${event.type}`)}) as subscriber on true`

/** One delivery of an event: to one queue. */
export interface ClaimedEvent {
  readonly event: EventEnvelope
  readonly queue: string
  readonly attempts: number
}

/** The backlog of one queue: number of rows, and the oldest row's age in seconds. */
export interface Backlog {
  readonly queue: string
  readonly depth: number
  readonly ageSeconds: number
}

/** How many events a queue can take now. */
export interface Room {
  readonly queue: string
  readonly room: number
}

export type OutboxRepository = ReturnType<typeof createOutboxRepository>

export const createOutboxRepository = (db: Database, outbox: OutboxTable) => ({
  /**
   * Claims due rows, per queue as many as it has room for, with a lease of 15 s at first, doubled each time up to 5 min. A row
   * becomes due again if its job was not seen completed by then. Queues that are left out cost nothing: those without room, and
   * those that only another version knows.
   */
  claim: async (rooms: readonly Room[]): Promise<ClaimedEvent[]> => {
    const rows = await db.run<EventEnvelope & { queue: string; attempts: number }>(sql`
      update ${outbox} as o
         set available_at = now() + least(interval '15 seconds' * power(2, least(attempts, 10)), interval '5 minutes'), attempts = attempts + 1
       where o.ctid = any (array( -- by their place: a join would read the whole backlog of a queue that is left out
         select due.place from jsonb_to_recordset(${JSON.stringify(rooms)}::jsonb) as r(queue text, room int)
          cross join lateral (
            select ctid as place from ${outbox} where queue = r.queue and available_at <= now() order by available_at limit r.room for update skip locked
          ) as due
       ))
      returning o.id, o.queue, o.type, o.aggregate_id, o.version, o.actor, o.traceparent, o.policy_version, o.created_at as occurred_at, o.data, o.attempts`)
    return rows.map(({ queue, attempts, ...event }) => ({ event, queue, attempts }))
  },

  /**
   * Replaces up to `limit` rows without a queue by one row per subscriber that is registered by now. Rows without any subscriber
   * stay.
   */
  address: async (limit: number): Promise<number> => {
    const [row] = await db.run<{ addressed: number }>(sql`
      with due as (
        select o.id, o.queue from ${outbox} as o
         where o.queue = '' and o.available_at <= now() and exists (${subscribersOf(outbox, sql`o.type`)})
         order by o.available_at limit ${limit} for update of o skip locked
      ), taken as (
        delete from ${outbox} as o using due where o.id = due.id and o.queue = due.queue returning o.*
      ), added as (
        insert into ${outbox} (id, queue, type, aggregate_id, version, actor, traceparent, data, policy_version, created_at, attempts)
        select t.id, s.queue, t.type, t.aggregate_id, t.version, t.actor, t.traceparent, t.data, t.policy_version, t.created_at, t.attempts
          from taken as t cross join lateral (${subscribersOf(outbox, sql`t.type`)}) as s
         where s.queue <> all (t.delivered)
        on conflict do nothing
      )
      select count(*)::int as addressed from taken`)
    return row?.addressed ?? 0
  },

  /** Releases rows after a failed dispatch: due again after `delayMs`. */
  release: async (queue: string, ids: readonly string[], delayMs: number): Promise<void> => {
    await db.run(sql`
      update ${outbox} set available_at = now() + ${delayMs}::int * interval '1 millisecond', attempts = greatest(attempts - 1, 0)
       where id = any (${arrayLiteral(ids)}::uuid[]) and queue = ${queue}`)
  },

  /** Makes up to `limit` leased rows due; returns how many there were. */
  recall: async (limit: number): Promise<number> => {
    const [row] = await db.run<{ recalled: number }>(sql`
      with recalled as (
        update ${outbox} as o set available_at = now(), attempts = least(attempts, 1)
          from (select id, queue from ${outbox} where available_at > now() limit ${limit} for update skip locked) as put_off
         where o.id = put_off.id and o.queue = put_off.queue returning 1
      )
      select count(*)::int as recalled from recalled`)
    return row?.recalled ?? 0
  },

  /** The queue has completed these events; rows for other queues stay. */
  delivered: async (ids: readonly string[], queue: string): Promise<void> => {
    await db.run(sql`delete from ${outbox} where id = any (${arrayLiteral(ids)}::uuid[]) and queue = ${queue}`)
  },

  backlog: (): Promise<Backlog[]> =>
    db.run<Backlog>(sql`
      select queue, count(*)::int as depth, extract(epoch from now() - min(created_at))::float8 as "ageSeconds" from ${outbox} group by queue`),

  /** Registers the subscribers of the module's events; see `register`. */
  register: async (subscriptions: readonly Subscription[]): Promise<void> => {
    await db.run(register(schemaOf(outbox), subscriptions))
  },
})

/** The inbox rows of the events of `source`, as the body of a CTE: returns a row only for an event's first delivery. */
export const receiveEvents = (inbox: InboxTable, source: SQL): SQL =>
  sql`insert into ${inbox} (event_id) select event_id from ${source} order by event_id on conflict do nothing returning event_id`

/** Twice as long as an event can be retried (EVENT_RETRY_HOURS): after that, no second delivery can arrive. */
const inboxDays = 14

export type InboxRepository = ReturnType<typeof createInboxRepository>

export const createInboxRepository = (db: Database, inbox: InboxTable, deadLetters: DeadLetterTable) => ({
  /** Deletes inbox rows so old that their event cannot be delivered again; a dead letter can, at any time. */
  prune: async (): Promise<void> => {
    await db.run(sql`
      delete from ${inbox} as i where i.received_at < now() - ${inboxDays} * interval '1 day'
         and not exists (select from ${deadLetters} as d where d.event_id = i.event_id)`)
  },
})
