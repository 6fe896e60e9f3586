import { type SQL, sql } from 'drizzle-orm'
import { appendEvent } from '../../../platform/events/outbox-repository.ts'
import type { MailPurpose, MailRequestPurpose } from '../contract.ts'
import { mailRequests, mailTokens, outbox } from '../tables.ts'
import type { UserEvent } from '../user-row.sql.ts'

/** How long a mailed token is valid. */
export const mailTokenLife: Readonly<Record<MailPurpose, SQL>> = {
  activation: sql.raw(`interval '3 days'`),
  reset: sql.raw(`interval '1 hour'`),
  email_change: sql.raw(`interval '1 day'`),
}

/** Maximum time until a mail is first sent: longer than the outage of a provider. */
const requestLife = sql.raw(`interval '1 day'`)

/** Each asks for a mail. */
type MailEvent = UserEvent<
  'user.activation_requested' | 'user.password_reset_requested' | 'user.email_change_requested' | 'user.email_changed'
>

/**
 * CTEs: the event that asks for a mail to each person of `source`, and the request that allows only this event to get a token.
 * `address`: the recipient, sealed; default: the person's own.
 */
export const askForMail = (event: MailEvent, purpose: MailRequestPurpose, source: SQL, address: Buffer | null = null): SQL => sql`
    ${sql.raw(`${purpose}_event`)} as (${appendEvent(outbox, event, source)}),
    ${sql.raw(`${purpose}_mail`)} as (
      insert into ${mailRequests} (event_id, user_id, purpose, address, expires_at)
      select ${event.id}::uuid, id, ${purpose}, ${address}::bytea, now() + ${requestLife} from ${source} as source
    )`

/** CTEs: voids what was mailed, or is about to be mailed, to the persons of `source`. */
export const voidMails = (source: SQL): SQL => sql`
    void_tokens as (
      update ${mailTokens} as t set used_at = now() from ${source} as s
       where t.user_id = s.id and t.used_at is null
    ), void_requests as (delete from ${mailRequests} as r using ${source} as s where r.user_id = s.id and r.purpose <> 'email_changed')`
