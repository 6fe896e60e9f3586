import { type SQL, sql } from 'drizzle-orm'
import { coalesce } from '../../platform/coalesce.ts'
import { arrayLiteral, type Database } from '../../platform/db.ts'
import type { NewEvent } from '../../platform/events/event.ts'
import { appendEvent, receiveEvents } from '../../platform/events/repository.ts'
import type { PageRequest } from '../../platform/page.ts'
import type { Channel, Notification, NotificationStatus } from './contract.ts'
import { inbox, notifications, outbox } from './tables.ts'

export interface NotificationFilter {
  readonly order_id?: number
  readonly user_id?: number
  readonly status?: NotificationStatus
}

/** A message that this process has the right, and the duty, to send now. */
export interface ClaimedNotification {
  readonly id: number
  readonly event_id: string
  readonly event_type: string
  readonly channel: Channel
  readonly user_id: number
  readonly content: Record<string, unknown>
  /** It was left in an unknown state before: the provider may have it already. */
  readonly uncertain: boolean
}

export interface NewNotifications {
  readonly event_id: string
  readonly event_type: string
  readonly order_id: number
  readonly user_id: number
  readonly content: Record<string, unknown>
  readonly channels: readonly Channel[]
}

/** What became of one attempt. */
export interface Outcome {
  readonly id: number
  readonly status: NotificationStatus
  readonly reason: string | null
}

const sharedWrites = { max: 64, lanes: 2 }

/** Longer than one attempt at any provider may take. */
const claimSeconds = 20

const fields = sql`id, event_id, event_type, channel, order_id, user_id, status, attempts, reason, uncertain_at, sent_at, created_at`
const claimedFields = sql`n.id, n.event_id, n.event_type, n.channel, n.user_id, n.content, n.uncertain_at is not null as uncertain`

export type NotificationRepository = ReturnType<typeof createNotificationRepository>

export const createNotificationRepository = (db: Database) => {
  /** What may be sent now among the rows that `where` names; `busy` counts those that somebody else is sending. */
  const claim = async (where: SQL): Promise<{ claimed: ClaimedNotification[]; busy: number }> => {
    const rows = await db.run<ClaimedNotification & { busy: boolean }>(sql`
      with before as materialized (select id, status, claimed_until from ${notifications} where ${where} for update),
      n as (
        update ${notifications} as c
           set status = 'sending', attempts = c.attempts + 1, claimed_until = now() + ${claimSeconds} * interval '1 second',
               uncertain_at = case when before.status in ('sending', 'uncertain') then coalesce(c.uncertain_at, now()) else c.uncertain_at end
          from before
         where c.id = before.id
           and (before.status in ('pending', 'failed', 'uncertain') or (before.status = 'sending' and before.claimed_until < now()))
        returning c.*
      )
      select ${claimedFields}, false as busy from n
      union all
      select ${claimedFields}, true from ${notifications} n join before using (id) where before.status = 'sending' and before.claimed_until >= now()`)
    return { claimed: rows.filter(({ busy }) => !busy), busy: rows.filter(({ busy }) => busy).length }
  }

  return {
    /** Records an event and its messages, claimed for sending, in one statement; nothing for an event seen before. */
    receive: coalesce(async (events: readonly NewNotifications[]) => {
      const rows = await db.run<ClaimedNotification>(sql`
        with input as materialized (
          select * from jsonb_to_recordset(${JSON.stringify(events)}::jsonb)
              as i(event_id uuid, event_type text, order_id int, user_id int, content jsonb, channels jsonb)
        ), received as (${receiveEvents(inbox, sql`input`)}),
        n as (
          insert into ${notifications} (event_id, event_type, channel, order_id, user_id, content, status, attempts, claimed_until)
          select i.event_id, i.event_type, channel.value, i.order_id, i.user_id, i.content,
                 'sending', 1, now() + ${claimSeconds} * interval '1 second'
            from received join input i using (event_id), jsonb_array_elements_text(i.channels) as channel
          returning *
        )
        select ${claimedFields} from n`)
      const byEvent = Map.groupBy(rows, ({ event_id }) => event_id)
      return events.map(({ event_id }) => byEvent.get(event_id) ?? [])
    }, sharedWrites),

    /** Whether the effect of this event, which leaves no row in the table, is on record. */
    isDone: async (eventId: string): Promise<boolean> => {
      const rows = await db.run(sql`select from ${inbox} where event_id = ${eventId}::uuid`)
      return rows.length > 0
    },
    recordDone: async (eventId: string): Promise<void> => {
      await db.run(sql`insert into ${inbox} (event_id) values (${eventId}::uuid) on conflict do nothing`)
    },

    claimEvent: (eventId: string) => claim(sql`event_id = ${eventId}::uuid`),
    claimOne: (id: number) => claim(sql`id = ${id}`),

    finish: coalesce(async (outcomes: readonly Outcome[]): Promise<undefined[]> => {
      await db.run(sql`
        update ${notifications} as n
           set status = o.status, reason = o.reason, claimed_until = null,
               sent_at = case when o.status = 'sent' then now() end,
               uncertain_at = case when o.status = 'uncertain' then coalesce(n.uncertain_at, now()) else n.uncertain_at end
          from jsonb_to_recordset(${JSON.stringify(outcomes)}::jsonb) as o(id int, status text, reason text)
         where n.id = o.id and n.status = 'sending' and n.id = any (${arrayLiteral(outcomes.map(({ id }) => id))}::int[])`) // the array keeps the index
      return outcomes.map(() => undefined)
    }, sharedWrites),

    /** The ids of the events that a person was told of. */
    eventsOf: async (userId: number): Promise<string[]> => {
      const rows = await db.run<{ event_id: string }>(
        sql`select distinct event_id from ${notifications} where user_id = ${userId}`,
      )
      return rows.map(({ event_id }) => event_id)
    },

    /** Undefined as well when it is not the owner's, where one is given. */
    byId: async (id: number, owner: number | undefined): Promise<Notification | undefined> => {
      const [row] = await db.run<Notification>(
        sql`select ${fields} from ${notifications} where id = ${id} and ${owner === undefined ? sql`true` : sql`user_id = ${owner}`}`,
      )
      return row
    },

    page: (
      { limit, after }: PageRequest,
      { order_id, user_id, status }: NotificationFilter,
      owner: number | undefined,
    ): Promise<Notification[]> => {
      const conditions = [
        after && sql`(created_at, id) < (${after.at}::timestamptz, ${after.id}::int)`,
        order_id !== undefined && sql`order_id = ${order_id}`,
        owner !== undefined && sql`user_id = ${owner}`,
        user_id !== undefined && sql`user_id = ${user_id}`,
        status && sql`status = ${status}`,
      ].filter((condition): condition is SQL => Boolean(condition))
      const where = conditions.length > 0 ? sql`where ${sql.join(conditions, sql` and `)}` : sql``
      return db.run<Notification>(
        sql`select ${fields} from ${notifications} ${where} order by created_at desc, id desc limit ${limit + 1}`,
      )
    },

    /** Makes an unsent message due again, with the event that has it sent; undefined when it is not in such a state. */
    requestRetry: async (id: number, event: NewEvent): Promise<Notification | undefined> => {
      const [row] = await db.run<Notification>(sql`
        with changed as (
          update ${notifications} set status = case when status = 'uncertain' then status else 'pending' end, version = version + 1
           where id = ${id} and status in ('failed', 'uncertain', 'skipped')
          returning *
        ), event as (${appendEvent(outbox, event, sql`changed`, sql`jsonb_build_object('notification_id', source.id)`)})
        select ${fields} from changed`)
      return row
    },
  }
}
