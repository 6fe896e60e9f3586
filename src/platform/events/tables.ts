import { index, integer, jsonb, type PgSchema, text, timestamp, uuid } from 'drizzle-orm/pg-core'
import type { Actor } from '../context.ts'

/** Millisecond precision, so that a cursor made from what JSON shows is exact. */
export const moment = () => timestamp({ withTimezone: true, mode: 'string', precision: 3 })

/** Events that this module has committed and whose delivery is not yet seen. */
export const outboxTable = (schema: PgSchema) =>
  schema.table(
    'outbox',
    {
      id: uuid().primaryKey(),
      type: text().notNull(),
      aggregate_id: text().notNull(),
      version: integer().notNull(),
      actor: jsonb().$type<Actor>().notNull(),
      traceparent: text().notNull(),
      data: jsonb().$type<Record<string, unknown>>().notNull(),
      /** Of the policy that allowed the change; empty for one that no request asked for. */
      policy_version: text().notNull().default(''),
      created_at: moment().notNull().defaultNow(),
      /** When the relay looks at it next; in the future while a relay holds it. */
      available_at: moment().notNull().defaultNow(),
      attempts: integer().notNull().default(0),
      /** Queues whose job has been seen completed, where the event has several subscribers. */
      delivered: text().array().notNull().default([]),
    },
    (table) => [index('outbox_available').on(table.available_at)],
  )

/** Event ids whose effect is committed here: a second delivery does nothing. */
export const inboxTable = (schema: PgSchema) =>
  schema.table(
    'inbox',
    {
      event_id: uuid().primaryKey(),
      received_at: moment().notNull().defaultNow(),
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
      failed_at: moment().notNull().defaultNow(),
    },
    (table) => [index('dead_letters_page').on(table.failed_at.desc().nullsFirst(), table.id.desc().nullsFirst())],
  )

export type OutboxTable = ReturnType<typeof outboxTable>
export type InboxTable = ReturnType<typeof inboxTable>
export type DeadLetterTable = ReturnType<typeof deadLetterTable>
