import { sql } from 'drizzle-orm'
import { check, customType, index, integer, jsonb, pgSchema, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import type { EventEnvelope } from '../../platform/events/event.ts'
import { deadLetterTable, inboxTable, outboxTable, subscriptionTable, timestamptz } from '../../platform/events/tables.ts'
import type { Channel, NotificationStatus } from './contract.ts'

/** An event without the fields of the other columns. */
export type Origin = Omit<EventEnvelope, 'id' | 'type' | 'data'>

export const schema = pgSchema('notifications')

export const notifications = schema.table(
  'notifications',
  {
    id: integer().generatedByDefaultAsIdentity().primaryKey(),
    event_id: uuid().notNull(),
    event_type: text().notNull(),
    channel: text().$type<Channel>().notNull(),
    order_id: integer().notNull(),
    user_id: integer().notNull(),
    /** The event's data, for the text of the message. No name and no address. */
    content: jsonb().$type<Record<string, unknown>>().notNull(),
    status: text().$type<NotificationStatus>().notNull(),
    attempts: integer().notNull().default(0),
    reason: text(),
    version: integer().notNull().default(1),
    /** The end of the lease of `sending`: after that, the process has crashed and the outcome is unknown. */
    claimed_until: timestamptz(),
    /** Fencing token: grows with each claim, and only the newest one may record the outcome. */
    claim: integer().notNull().default(0),
    /** When a worker takes it next; null if finished, given up, or still handled by the event of the previous version. */
    due_at: timestamptz(),
    /** Failed attempts since it became due for the first time or again. */
    failures: integer().notNull().default(0),
    /** The rest of the event: on whose behalf and in which trace. Null in rows of the previous version. */
    origin: jsonb().$type<Origin>(),
    uncertain_at: timestamptz(),
    sent_at: timestamptz(),
    created_at: timestamptz().notNull().defaultNow(),
  },
  (table) => [
    uniqueIndex('notifications_once').on(table.event_id, table.channel),
    index('notifications_page').on(table.created_at.desc().nullsFirst(), table.id.desc().nullsFirst()),
    index('notifications_by_order').on(table.order_id),
    index('notifications_by_user').on(table.user_id),
    index('notifications_due').on(table.channel, table.due_at).where(sql`${table.due_at} is not null`),
    check(
      'notifications_status',
      sql`${table.status} in ('pending', 'sending', 'sent', 'failed', 'uncertain', 'skipped', 'held', 'limited')`,
    ),
  ],
)

const bytes = customType<{ data: Buffer }>({ dataType: () => 'bytea' })

/** Messages in the hour that ends at `expires_at`, by account or address. */
export const messageCounts = schema.table(
  'message_counts',
  {
    /** Keyed hash of what is counted. */
    key: bytes().primaryKey(),
    messages: integer().notNull(),
    expires_at: timestamptz().notNull(),
  },
  (table) => [index('message_counts_expires').on(table.expires_at)],
)

export const outbox = outboxTable(schema)
export const subscriptions = subscriptionTable(schema)
export const inbox = inboxTable(schema)
export const deadLetters = deadLetterTable(schema)
