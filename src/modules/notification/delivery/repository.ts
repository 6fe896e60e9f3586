import { type SQL, sql } from 'drizzle-orm'
import type { RetryPolicy } from '../../../platform/concurrency/retry.ts'
import { coalesce } from '../../../platform/db/batch-loader.ts'
import { arrayLiteral, type Database } from '../../../platform/db/database.ts'
import { receiveEvents } from '../../../platform/events/outbox-repository.ts'
import type { Channel, NotificationStatus } from '../contract.ts'
import type { Limit } from '../message-limits.ts'
import { deadLetters, inbox, messageCounts, notifications, type Origin } from '../tables.ts'

/** A message that this process has claimed and must send now. */
export interface ClaimedNotification {
  readonly id: number
  readonly event_id: string
  readonly event_type: string
  readonly channel: Channel
  readonly user_id: number
  readonly content: Record<string, unknown>
  readonly origin: Origin | null
  /** It was left in an unknown state before: the provider may have it already. */
  readonly uncertain: boolean
  /** Fencing token of this claim. */
  readonly claim: number
  readonly created_at: string
}

export interface NewMessage {
  readonly channel: Channel
  readonly status: 'pending' | 'held' | 'skipped'
  readonly reason: string | null
  /** The limits that it counts towards; over one of them, it is not sent. */
  readonly limits: readonly Limit[]
}

export interface NewNotifications {
  readonly event_id: string
  readonly event_type: string
  readonly order_id: number
  readonly user_id: number
  readonly content: Record<string, unknown>
  readonly origin: Origin
  readonly messages: readonly NewMessage[]
}

/** The outcome of one claim. */
export interface Outcome {
  readonly id: number
  readonly claim: number
  readonly status: Exclude<NotificationStatus, 'sending' | 'limited'>
  readonly reason: string | null
  /** Whether the provider was called. */
  readonly tried: boolean
  /** A permanent refusal: retried a few times, not for hours. */
  readonly permanent?: boolean
}

/** Attempts after a permanent refusal: some providers are temporarily wrong about that. */
const permanentTries = 3

const sharedWrites = { max: 64, lanes: 2 }

/** Duration of a lease: longer than one attempt at any provider. */
export const claimMs = 30_000

const claimedFields = sql`n.id, n.event_id, n.event_type, n.channel, n.user_id, n.content, n.origin, n.uncertain_at is not null as uncertain, n.claim, n.created_at`

/** An event as its dead letter keeps it; rows of the previous version have fewer columns. */
const envelope = sql`
  jsonb_build_object('aggregate_id', n.order_id::text, 'version', 0, 'actor', jsonb_build_object('type', 'service', 'id', 'notification'),
    'traceparent', '', 'policy_version', '', 'occurred_at', n.created_at)
  || coalesce(n.origin, '{}') || jsonb_build_object('id', n.event_id, 'type', n.event_type, 'data', n.content)`

/** A condition on a row, by its name in the statement. */
const givenUp = (row: string): SQL => sql.raw(`${row}.status in ('failed', 'uncertain') and ${row}.due_at is null`)

export type DeliveryRepository = ReturnType<typeof createDeliveryRepository>

/** The messages as a work queue: a message is due, claimed for a while, and finished by the newest claim. */
export const createDeliveryRepository = (db: Database, { attempts, backoffMs, longestBackoffMs }: RetryPolicy) => ({
  /**
   * Records an event and its messages in one statement. A message over an hourly limit is `limited`. For an event seen before (a
   * replay), makes its failed messages due again, and those that the previous version left.
   */
  receive: coalesce(async (events: readonly NewNotifications[]): Promise<undefined[]> => {
    const ids = arrayLiteral(events.map(({ event_id }) => event_id))
    await db.run(sql`
      with input as materialized (
        select * from jsonb_to_recordset(${JSON.stringify(events)}::jsonb)
            as i(event_id uuid, event_type text, order_id int, user_id int, content jsonb, origin jsonb, messages jsonb)
      ), received as (${receiveEvents(inbox, sql`input`)}),
      again as (
        update ${notifications} as n set due_at = greatest(now(), n.claimed_until), failures = 0, origin = coalesce(n.origin, i.origin)
          from (select distinct on (event_id) event_id, origin from input) i
         where n.event_id = i.event_id and n.event_id = any (${ids}::uuid[]) -- the array keeps the index
           and n.due_at is null and n.status in ('pending', 'sending', 'failed', 'uncertain')
      ), message as materialized (
        select i.event_id, i.event_type, i.order_id, i.user_id, i.content, i.origin, m.*
          from received join input i using (event_id),
               jsonb_to_recordset(i.messages) as m(channel text, status text, reason text, limits jsonb)
      ), asked as materialized (
        select m.event_id, m.channel, decode(l.key, 'hex') as key, l.most, l.reason,
               row_number() over (partition by l.key order by m.event_id, m.channel) as place, count(*) over (partition by l.key) as together
          from message m, jsonb_to_recordset(m.limits) as l(key text, most int, reason text)
      ), counted as (
        insert into ${messageCounts} as c (key, messages, expires_at)
        select key, count(*), now() + interval '1 hour' from asked group by key order by key -- two statements wait in the same order
        on conflict (key) do update
           set messages = case when c.expires_at > now() then c.messages + excluded.messages else excluded.messages end,
               expires_at = case when c.expires_at > now() then c.expires_at else excluded.expires_at end
        returning key, messages
      ), over_limit as (
        select event_id, channel, min(reason) as reason
          from asked join counted using (key) where messages - together + place > most group by event_id, channel
      )
      insert into ${notifications} (event_id, event_type, channel, order_id, user_id, content, origin, status, reason, due_at)
      select m.event_id, m.event_type, m.channel, m.order_id, m.user_id, m.content, m.origin,
             case when l.reason is null then m.status else 'limited' end, coalesce(l.reason, m.reason),
             case when l.reason is null and m.status <> 'skipped' then now() end
        from message m left join over_limit l using (event_id, channel)
      on conflict do nothing`)
    return events.map(() => undefined)
  }, sharedWrites),

  /** Claims up to `limit` due messages of a channel, the longest due first. */
  claim: (channel: Channel, limit: number): Promise<ClaimedNotification[]> =>
    db.run<ClaimedNotification>(sql`
      with due as materialized (
        select id, status from ${notifications}
         where channel = ${channel} and due_at <= now() and status in ('pending', 'sending', 'failed', 'uncertain', 'held')
         order by due_at limit ${limit} for update skip locked
      ), n as (
        update ${notifications} as c
           set status = 'sending', attempts = c.attempts + 1, claim = c.claim + 1,
               claimed_until = now() + ${claimMs}::int * interval '1 millisecond', due_at = now() + ${claimMs}::int * interval '1 millisecond',
               uncertain_at = case when due.status in ('sending', 'uncertain') then coalesce(c.uncertain_at, now()) else c.uncertain_at end
          from due where c.id = due.id
        returning c.*
      )
      select ${claimedFields} from n`),

  /**
   * Records outcomes. Only the newest claim may record the outcome of a message, with one exception: that a provider accepted it
   * is true regardless of the claim and the time, and stops every further attempt.
   */
  finish: coalesce(async (outcomes: readonly Outcome[]): Promise<undefined[]> => {
    // A process that was paused may finish two claims of one message at once.
    const byId = new Map<number, Outcome>()
    for (const one of outcomes) {
      const other = byId.get(one.id)
      if (!other || one.status === 'sent' || (other.status !== 'sent' && one.claim > other.claim)) byId.set(one.id, one)
    }
    await db.run(sql`
      with n as (
        update ${notifications} as n
           set status = o.status, reason = o.reason, claimed_until = null,
               attempts = n.attempts - case when o.tried then 0 else 1 end,
               failures = n.failures + case when o.status in ('failed', 'uncertain') and o.tried then 1 else 0 end,
               sent_at = case when o.status = 'sent' then now() end,
               uncertain_at = case when o.status = 'uncertain' then coalesce(n.uncertain_at, now()) else n.uncertain_at end,
               due_at = case
                 when o.status in ('sent', 'skipped') then null
                 -- Looked at again soon, and then less and less: the event that says that it may go can be lost, or come between.
                 when o.status = 'held' then now() + least(greatest(now() - n.created_at, interval '2 seconds'), interval '1 hour')
                 when not o.tried then now()
                 when n.failures + 1 >= case when o.permanent then ${Math.min(attempts, permanentTries)}::int else ${attempts}::int end then null
                 else now() + least(${backoffMs}::float8 * power(2, least(n.failures, 30)), ${longestBackoffMs}::float8)
                              * (0.5 + random() / 2) * interval '1 millisecond'
               end
          from jsonb_to_recordset(${JSON.stringify([...byId.values()])}::jsonb) as o(id int, claim int, status text, reason text, tried boolean, permanent boolean)
         where n.id = o.id and n.id = any (${arrayLiteral([...byId.keys()])}::int[]) -- the array keeps the index
           and ((n.status = 'sending' and n.claim = o.claim) or (o.status = 'sent' and n.status <> 'sent'))
        returning n.*
      ), settled as ( -- nothing is left that was given up
        delete from ${deadLetters} as d using n
         where d.event_id = n.event_id and n.status = 'sent'
           and not exists (select from n as g where g.event_id = d.event_id and ${givenUp('g')})
           and not exists (select from ${notifications} as g where g.event_id = d.event_id and g.id <> n.id and ${givenUp('g')})
      )
      insert into ${deadLetters} (event_id, type, event, reason, attempts)
      select distinct on (n.event_id) n.event_id, n.event_type, ${envelope}, n.reason, n.attempts
        from n where ${givenUp('n')} order by n.event_id
      on conflict (event_id) do update set reason = excluded.reason, attempts = excluded.attempts, failed_at = now()`)
    return outcomes.map(() => undefined)
  }, sharedWrites),

  /** Applies the event `cause`, which asks for one message again. Idempotent. */
  makeDue: async (cause: string, id: number): Promise<void> => {
    const received = receiveEvents(inbox, sql`(select ${cause}::uuid as event_id) as cause`)
    await db.run(sql`
      with received as (${received})
      update ${notifications} as n set due_at = greatest(now(), n.claimed_until), failures = 0
        from received where n.id = ${id} and n.status in ('pending', 'sending', 'failed', 'uncertain')`)
  },

  /** The person's address is confirmed. */
  releaseHeld: async (userId: number): Promise<void> => {
    await db.run(sql`
      update ${notifications} set status = 'pending', reason = null, due_at = now()
       where user_id = ${userId} and status = 'held'`)
  },

  /** Deletes counters of past hours. */
  prune: async (): Promise<void> => {
    await db.run(sql`delete from ${messageCounts} where expires_at < now()`)
  },

  /** Number of due messages, and the age of the oldest in seconds. */
  backlog: async (channel: Channel): Promise<{ depth: number; ageSeconds: number }> => {
    const [row] = await db.run<{ depth: number; age: number }>(sql`
      select count(*)::int as depth, coalesce(extract(epoch from now() - min(created_at)), 0)::float8 as age
        from ${notifications} where channel = ${channel} and due_at is not null and status <> 'held'`)
    return { depth: row?.depth ?? 0, ageSeconds: row?.age ?? 0 }
  },
})
