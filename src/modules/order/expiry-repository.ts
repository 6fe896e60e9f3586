import { sql } from 'drizzle-orm'
import type { Database } from '../../platform/db/database.ts'
import { appendEvents } from '../../platform/events/outbox-repository.ts'
import { giveBack, type StepEvent, stepData } from './give-back.sql.ts'
import { orders, outbox } from './tables.ts'

export interface ExpiryRepository {
  /** Cancels pending orders older than `ttlMs`, oldest first, at most one per event. @returns how many */
  expire(ttlMs: number, events: readonly StepEvent<'order.cancelled'>[]): Promise<number>
}

export const createExpiryRepository = (db: Database): ExpiryRepository => ({
  expire: async (ttlMs, events) => {
    const expired = await db.write(sql`
      with due as materialized ( -- what another process cancels at this moment is left to it
        select id from ${orders}
         where status = 'pending' and created_at < now() - ${ttlMs}::float8 * interval '1 millisecond'
         order by created_at limit ${events.length} for update skip locked
      ), numbered as materialized (select id, row_number() over (order by id)::int as n from due),
      o as (
        update ${orders} as c set status = 'cancelled', version = c.version + 1
          from numbered where c.id = numbered.id and c.status = 'pending'
        returning c.*, 'pending' as was, numbered.n
      ), ${giveBack},
      event as (${appendEvents(outbox, events, sql`o`, stepData)})
      select id from o`)
    return expired.length
  },
})
