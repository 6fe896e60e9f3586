import { index, integer, jsonb, type PgSchema, primaryKey, text, timestamp, uuid } from 'drizzle-orm/pg-core'
import type { Actor } from '../context.ts'

/** Millisecond precision, so that a cursor made from what JSON shows is exact. */
export const timestamptz = () => timestamp({ withTimezone: true, mode: 'string', precision: 3 })

/** Events that this module has committed and whose delivery is not yet seen: a row for each queue that an event goes to. */
export const outboxTable = (schema: PgSchema) =>
  schema.table(
    'outbox',
    {
      id: uuid().notNull(),
      /** Written at commit. Empty where nobody knew who subscribes, as in rows of versions before: a relay finds out. */
      queue: text().notNull().default(''),
      type: text().notNull(),
      aggregate_id: text().notNull(),
      version: integer().notNull(),
      actor: jsonb().$type<Actor>().notNull(),
      traceparent: text().notNull(),
      data: jsonb().$type<Record<string, unknown>>().notNull(),
      /** Of the policy that allowed the change; empty for one that no request asked for. */
      policy_version: text().notNull().default(''),
      created_at: timestamptz().notNull().defaultNow(),
      /** When the relay looks at it next; in the future while a relay holds it. */
      available_at: timestamptz().notNull().defaultNow(),
      attempts: integer().notNull().default(0),
      /** Written by versions before: of a row without a queue, the queues that are done with it. */
      delivered: text().array().notNull().default([]),
    },
    (table) => [
      primaryKey({ name: 'outbox_id_queue', columns: [table.id, table.queue] }),
      index('outbox_due').on(table.queue, table.available_at),
    ],
  )

/**
 * Which queues take the events that this module commits, by type: those of every version that runs or has lately run, so
 * that also an event which an older process commits goes to a newer one's subscriber (docs/adr/0035).
 */
export const subscriptionTable = (schema: PgSchema) =>
  schema.table(
    'subscriptions',
    {
      /** An event's type, or `everyEvent`. */
      type: text().notNull(),
      queue: text().notNull(),
      /** When a process last said that it knows the subscriber. */
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

/** Events that this consumer gave up on, with the reason. */
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
      /** How often somebody had it delivered again. */
      version: integer().notNull().default(0),
      failed_at: timestamptz().notNull().defaultNow(),
    },
    (table) => [index('dead_letters_page').on(table.failed_at.desc().nullsFirst(), table.id.desc().nullsFirst())],
  )

export type OutboxTable = ReturnType<typeof outboxTable>
export type InboxTable = ReturnType<typeof inboxTable>
export type DeadLetterTable = ReturnType<typeof deadLetterTable>
