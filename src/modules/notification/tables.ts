import { sql } from 'drizzle-orm'
import { check, index, integer, jsonb, pgSchema, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import { deadLetterTable, inboxTable, moment, outboxTable, subscriptionTable } from '../../platform/events/tables.ts'
import type { Channel, NotificationStatus } from './contract.ts'

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
    /** The event's data: what the message says. No name and no address. */
    content: jsonb().$type<Record<string, unknown>>().notNull(),
    status: text().$type<NotificationStatus>().notNull(),
    attempts: integer().notNull().default(0),
    reason: text(),
    version: integer().notNull().default(1),
    /** Until when the one who set `sending` may take; after that, a crash is certain and its outcome is not. */
    claimed_until: moment(),
    uncertain_at: moment(),
    sent_at: moment(),
    created_at: moment().notNull().defaultNow(),
  },
  (table) => [
    uniqueIndex('notifications_once').on(table.event_id, table.channel),
    index('notifications_page').on(table.created_at.desc().nullsFirst(), table.id.desc().nullsFirst()),
    index('notifications_by_order').on(table.order_id),
    index('notifications_by_user').on(table.user_id),
    check('notifications_status', sql`${table.status} in ('pending', 'sending', 'sent', 'failed', 'uncertain', 'skipped')`),
  ],
)

export const outbox = outboxTable(schema)
export const subscriptions = subscriptionTable(schema)
export const inbox = inboxTable(schema)
export const deadLetters = deadLetterTable(schema)
