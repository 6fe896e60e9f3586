import { index, integer, jsonb, type PgSchema, primaryKey, text, timestamp, uuid } from 'drizzle-orm/pg-core'
import type { Actor } from '../context.ts'

/** Millisecond precision, so that a cursor made from the JSON form is exact. */
export const timestamptz = () => timestamp({ withTimezone: true, mode: 'string', precision: 3 })

/** Transactional outbox: committed events whose delivery is not confirmed yet, one row per destination queue. */
export const outboxTable = (schema: PgSchema) =>
  schema.table(
    'outbox',
    {
      id: uuid().notNull(),
      /** Written at commit. Empty if no subscriber was registered, as in rows of earlier versions: a relay looks them up. */
      queue: text().notNull().default(''),
      type: text().notNull(),
      aggregate_id: text().notNull(),
      version: integer().notNull(),
      actor: jsonb().$type<Actor>().notNull(),
      traceparent: text().notNull(),
      data: jsonb().$type<Record<string, unknown>>().notNull(),
      /** The version of the policy that allowed the change; empty if no request caused it. */
      policy_version: text().notNull().default(''),
      created_at: timestamptz().notNull().defaultNow(),
      /** When the relay takes it next; in the future while a relay holds a lease. */
      available_at: timestamptz().notNull().defaultNow(),
      attempts: integer().notNull().default(0),
      /** Written by earlier versions: the queues that have completed a row without a queue. */
      delivered: text().array().notNull().default([]),
    },
    (table) => [
      primaryKey({ name: 'outbox_id_queue', columns: [table.id, table.queue] }),
      index('outbox_due').on(table.queue, table.available_at),
    ],
  )

/**
 * Which queues take the events that this module commits, by type: those of every version that runs or has lately run, so that an
 * event which an older process commits also goes to a newer one's subscriber (docs/adr/0035).
 */
export const subscriptionTable = (schema: PgSchema) =>
  schema.table(
    'subscriptions',
    {
      /** An event's type, or `everyEvent`. */
      type: text().notNull(),
      queue: text().notNull(),
      /** When a process last registered the subscriber. */
      seen_at: timestamptz().notNull().defaultNow(),
    },
    (table) => [primaryKey({ name: 'subscriptions_type_queue', columns: [table.type, table.queue] })],
  )

/** Event ids whose effect is committed here: a second delivery does nothing. */
export const inboxTable = (schema: PgSchema) =>
  schema.table(
    'inbox',
    {
      event_id: uuid().primaryKey(),
      received_at: timestamptz().notNull().defaultNow(),
    },
    (table) => [index('inbox_received').on(table.received_at)],
  )

/** Dead letters: events that this consumer gave up on, with the reason. */
export const deadLetterTable = (schema: PgSchema) =>
  schema.table(
    'dead_letters',
    {
      id: integer().generatedByDefaultAsIdentity().primaryKey(),
      event_id: uuid().notNull().unique('dead_letters_event'),
      type: text().notNull(),
      event: jsonb().$type<Record<string, unknown>>().notNull(),
      reason: text().notNull(),
      attempts: integer().notNull(),
      /** How often it was replayed. */
      version: integer().notNull().default(0),
      failed_at: timestamptz().notNull().defaultNow(),
    },
    (table) => [index('dead_letters_page').on(table.failed_at.desc().nullsFirst(), table.id.desc().nullsFirst())],
  )

export type OutboxTable = ReturnType<typeof outboxTable>
export type InboxTable = ReturnType<typeof inboxTable>
export type DeadLetterTable = ReturnType<typeof deadLetterTable>
