import { sql } from 'drizzle-orm'
import type { Database } from '../../platform/db/database.ts'
import { allOf, equals, pageClauses } from '../../platform/db/page.sql.ts'
import type { EventOf } from '../../platform/events/event.ts'
import { appendEvent } from '../../platform/events/outbox-repository.ts'
import type { PageRequest } from '../../platform/page.ts'
import type { Notification, NotificationStatus, notificationContract } from './contract.ts'
import { inbox, notifications, outbox } from './tables.ts'

export interface NotificationFilter {
  readonly order_id?: number
  readonly user_id?: number
  readonly status?: NotificationStatus
}

/** `not_retryable`: there is none, or its state does not allow it. */
export type RetryRequest =
  | { readonly outcome: 'requested'; readonly notification: Notification }
  | { readonly outcome: 'not_retryable' }

type RetryEvent = EventOf<typeof notificationContract, 'notification.retry_requested', 'notification_id'>

const fields = sql`id, event_id, event_type, channel, order_id, user_id, status, attempts, reason, uncertain_at, sent_at, created_at`
export type NotificationRepository = ReturnType<typeof createNotificationRepository>

export const createNotificationRepository = (db: Database) => {
  return {
    /** Whether the effect of this event, which leaves no row in the table, is recorded. */
    isDone: async (eventId: string): Promise<boolean> => {
      const rows = await db.run(sql`select from ${inbox} where event_id = ${eventId}::uuid`)
      return rows.length > 0
    },
    recordDone: async (eventId: string): Promise<void> => {
      await db.run(sql`insert into ${inbox} (event_id) values (${eventId}::uuid) on conflict do nothing`)
    },

    /** The ids of the events that a person was notified of. */
    eventsOf: async (userId: number): Promise<string[]> => {
      const rows = await db.run<{ event_id: string }>(
        sql`select distinct event_id from ${notifications} where user_id = ${userId}`,
      )
      return rows.map(({ event_id }) => event_id)
    },

    /** Undefined also if `owner` is given and differs. */
    byId: async (id: number, owner: number | undefined): Promise<Notification | undefined> => {
      const [row] = await db.run<Notification>(
        sql`select ${fields} from ${notifications} where ${allOf([equals(sql`id`, id), equals(sql`user_id`, owner)])}`,
      )
      return row
    },

    page: (
      page: PageRequest,
      { order_id, user_id, status }: NotificationFilter,
      owner: number | undefined,
    ): Promise<Notification[]> =>
      db.run<Notification>(
        sql`select ${fields} from ${notifications} ${pageClauses(page, { at: sql`created_at`, id: sql`id` }, [
          equals(sql`order_id`, order_id),
          equals(sql`user_id`, owner),
          equals(sql`user_id`, user_id),
          equals(sql`status`, status),
        ])}`,
      ),

    /** Makes an unsent message due again, with the event that resends it. */
    requestRetry: async (id: number, event: RetryEvent): Promise<RetryRequest> => {
      const [row] = await db.write<Notification>(sql`
        with changed as (
          update ${notifications}
             set status = case when status = 'uncertain' then status else 'pending' end, version = version + 1, due_at = null
           where id = ${id} and status in ('failed', 'uncertain', 'skipped', 'limited')
          returning *
        ), event as (${appendEvent(outbox, event, sql`changed`, { notification_id: sql<number>`source.id` })})
        select ${fields} from changed`)
      return row ? { outcome: 'requested', notification: row } : { outcome: 'not_retryable' }
    },
  }
}
