import { type SQL, sql } from 'drizzle-orm'
import { getTableConfig } from 'drizzle-orm/pg-core'
import { everyEvent } from '../contract.ts'
import type { OutboxTable } from './tables.ts'

/** A queue takes the events of a type, or with `everyEvent` those of all types. */
export interface Subscription {
  readonly type: string
  readonly queue: string
}

/** A subscriber that no process has registered for this long is gone, and gets no more events. */
const subscriptionDays = 7

const tableIn = (schema: string): SQL => sql`${sql.identifier(schema)}.subscriptions`

export const schemaOf = (outbox: OutboxTable): string => getTableConfig(outbox).schema ?? 'public'

/**
 * Registers the subscribers of what the module of this schema publishes. From then on, each process that commits an event writes
 * a row for these queues, including processes of a version that does not know them. Other registrations stay.
 */
export const register = (schema: string, subscriptions: readonly Subscription[]): SQL => sql`
  insert into ${tableIn(schema)} as known (type, queue)
  select type, queue from jsonb_to_recordset(${JSON.stringify(subscriptions)}::jsonb) as s(type text, queue text)
   order by type, queue -- the same order in every process: two at once cannot wait for each other
  on conflict (type, queue) do update set seen_at = now() where known.seen_at < now() - interval '1 minute'`

/**
 * The queues of an event of `type`, an SQL expression, to be joined `left join lateral (…) on true`: no row if nobody is
 * registered, and then the outbox row is written without a queue.
 */
export const subscribersOf = (outbox: OutboxTable, type: SQL): SQL => sql`
  select distinct s.queue from ${tableIn(schemaOf(outbox))} as s
   where s.type in (${type}, ${sql.raw(`'${everyEvent}'`)}) and s.seen_at > now() - interval '${sql.raw(`${subscriptionDays} days`)}'`
