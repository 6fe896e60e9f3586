import { type SQL, sql } from 'drizzle-orm'
import type { NewEvent } from '../../../platform/events/event.ts'
import { appendEvent } from '../../../platform/events/outbox-repository.ts'
import type { MailPurpose, MailRequestPurpose } from '../contract.ts'
import { mailRequests, mailTokens, outbox } from '../tables.ts'

/** How long a mailed token is good. */
export const mailTokenLife: Readonly<Record<MailPurpose, SQL>> = {
  activation: sql.raw(`interval '3 days'`),
  reset: sql.raw(`interval '1 hour'`),
  email_change: sql.raw(`interval '1 day'`),
}

/** How long a mail may be on its way to its first sending: longer than a provider is away. */
const requestLife = sql.raw(`interval '1 day'`)

/**
 * As CTEs: the event that asks for a mail to each person of `source`, and the request that this event alone can have a token for.
 * `address`: where it goes, sealed; by default to the person's own.
 */
export const askForMail = (event: NewEvent, purpose: MailRequestPurpose, source: SQL, address: Buffer | null = null): SQL => sql`
    ${sql.raw(`${purpose}_event`)} as (${appendEvent(outbox, event, source)}),
    ${sql.raw(`${purpose}_mail`)} as (
      insert into ${mailRequests} (event_id, user_id, purpose, address, expires_at)
      select ${event.id}::uuid, id, ${purpose}, ${address}::bytea, now() + ${requestLife} from ${source} as source
    )`

/** As CTEs: what was mailed or is about to be is of no use any more to the persons of `source`. */
export const voidMails = (source: SQL): SQL => sql`
    void_tokens as (
      update ${mailTokens} as t set used_at = now() from ${source} as s
       where t.user_id = s.id and t.used_at is null
    ), void_requests as (delete from ${mailRequests} as r using ${source} as s where r.user_id = s.id and r.purpose <> 'email_changed')`
