import { type SQL, sql } from 'drizzle-orm'
import { type Database, violatedConstraint } from '../../../platform/db/database.ts'
import { appendEvent } from '../../../platform/events/outbox-repository.ts'
import type { MailPurpose, MailRequestPurpose } from '../contract.ts'
import type { PersonalData, Sealed } from '../personal-data.ts'
import {
  mailRequests,
  mailTokens,
  outbox,
  recoveryCodes,
  refreshTokens,
  secondFactors,
  signInAttempts,
  users,
} from '../tables.ts'
import { plainAddress, type UserEvent } from '../user-row.sql.ts'
import { type Account, createFindAccount, isUnproven, withPassword } from './account-repository.ts'
import { askForMail, mailTokenLife, voidMails } from './mail-requests-repository.ts'

/** A mail that may be sent: the person, and the address if it is not their own. */
export interface MailRequest extends Sealed {
  readonly purpose: MailRequestPurpose
  readonly address: Buffer | null
}

/** Body of a CTE: the owner of a valid token. Locked: of two concurrent uses, the second finds it used. */
const owner = (hash: Buffer, purpose: MailPurpose): SQL => sql`
  select user_id from ${mailTokens}
   where token_hash = ${hash} and purpose = ${purpose} and used_at is null and expires_at > now() for update`

const lifeOf = sql`case r.purpose ${sql.join(
  Object.entries(mailTokenLife).map(([purpose, life]) => sql`when ${purpose} then ${life}`),
  sql` `,
)} end`

export type MailTokenRepository = ReturnType<typeof createMailTokenRepository>

export const createMailTokenRepository = (db: Database, data: PersonalData) => {
  const find = createFindAccount(db)
  return {
    /** Asks for a mail to the person with this address; takes as long if there is none. */
    requestReset: async (email: string, event: UserEvent<'user.password_reset_requested'>): Promise<void> => {
      await db.write(sql`
        with person as (select id, version from ${users} where email_lookup = ${data.lookup(email)} and status <> 'erased'),
        ${askForMail(event, 'reset', sql`person`)}
        select id from person`)
    },

    /**
     * Stores a token's hash, replacing earlier ones for the same purpose, for the mail that this event asked for. `not_requested`: no
     * event of ours asked for one, or the person no longer needs it.
     */
    keep: async (
      eventId: string,
      hash: Buffer,
    ): Promise<{ readonly outcome: 'kept'; readonly request: MailRequest } | { readonly outcome: 'not_requested' }> => {
      const [row] = await db.run<MailRequest>(sql`
        with request as (
          select u.id, u.personal, u.data_key, u.ring_key, r.purpose, r.address
            from ${mailRequests} r join ${users} u on u.id = r.user_id
           where r.event_id = ${eventId}::uuid and r.expires_at > now() and u.status <> 'erased' and u.personal is not null
             and (r.purpose <> 'activation' or ${isUnproven}) and (r.purpose <> 'email_change' or u.pending_email = r.address)
        ), void as (
          update ${mailTokens} as t set used_at = now() from request r
           where t.user_id = r.id and t.purpose = r.purpose and t.used_at is null
        ), token as (
          insert into ${mailTokens} (token_hash, user_id, purpose, expires_at)
          select ${hash}::bytea, r.id, r.purpose, now() + ${lifeOf} from request r where r.purpose <> 'email_changed'
        )
        select * from request`)
      return row ? { outcome: 'kept', request: row } : { outcome: 'not_requested' }
    },

    /** The owner of this token, while it is valid. */
    owner: (hash: Buffer, ...purposes: readonly MailPurpose[]): Promise<Account | undefined> => {
      const named = sql.join(
        purposes.map((purpose) => sql`${purpose}`),
        sql`, `,
      )
      return find(
        sql`u.id = (select user_id from ${mailTokens} where token_hash = ${hash} and purpose in (${named}) and used_at is null and expires_at > now())`,
      )
    },

    /**
     * The first confirmation of the mailbox; `activated` for an account that could not be used before. `too_late`: the
     * token was used, or the person changed meanwhile.
     */
    activate: async (
      account: Account,
      hash: Buffer,
      activated: UserEvent<'user.activated'>,
      confirmed: UserEvent<'user.email_confirmed'>,
    ): Promise<{ outcome: 'activated' | 'too_late' }> => {
      const rows = await db.write(sql`
        with token as materialized (${owner(hash, 'activation')}), before as (
          select id, status from ${users}
           where id = (select user_id from token) and session_version = ${account.session_version} and status <> 'erased' and ${isUnproven} for update
        ), changed as (
          update ${users} as u set status = 'active', email_confirmed_at = now(), version = u.version + 1 from before
           where u.id = before.id returning u.id, u.version, before.status
        ), ${voidMails(sql`changed`)},
        event as (${appendEvent(outbox, activated, sql`(select * from changed where status = 'unverified')`)}),
        confirmed as (${appendEvent(outbox, confirmed, sql`changed`)})
        select id from changed`)
      return { outcome: rows.length > 0 ? 'activated' : 'too_late' }
    },

    /** Replaces the address; the old one is notified. Ends every session. `too_late` as for `activate`. */
    changeAddress: async (
      account: Account,
      hash: Buffer,
      event: UserEvent<'user.email_changed'>,
    ): Promise<{ outcome: 'changed' | 'too_late' | 'email_taken' }> => {
      if (account.pending_email === null) return { outcome: 'too_late' }
      const person = data.open(account)
      const email = data.openAddress(account, account.pending_email)
      try {
        const rows = await db.write(sql`
          with token as materialized (${owner(hash, 'email_change')}), changed as (
            update ${users} as u
               set personal = ${data.reseal(account, { ...person, email })}, email_lookup = ${data.lookup(email)}, email_confirmed_at = now(),
                   pending_email = null, session_version = u.session_version + 1, version = u.version + 1
              from token where u.id = token.user_id and u.version = ${account.version} and u.status = 'active'
               and not exists (${plainAddress(email, account.id)})
            returning u.id, u.version
          ), ended as (delete from ${refreshTokens} as t using changed where t.user_id = changed.id), ${voidMails(sql`changed`)},
          ${askForMail(event, 'email_changed', sql`changed`, data.sealAddress(account, person.email))}
          select id from changed`)
        return { outcome: rows.length > 0 ? 'changed' : 'too_late' }
      } catch (error) {
        if (violatedConstraint(error) === 'users_email_lookup') return { outcome: 'email_taken' }
        throw error
      }
    },

    /**
     * Sets a password and ends every session of that person. If it is the first confirmation of the mailbox, removes everything
     * that was set before: phone and second factor may be a stranger's. `too_late` as for `activate`.
     */
    reset: async (
      account: Account,
      hash: Buffer,
      passwordHash: string,
      event: UserEvent<'user.password_changed'>,
      confirmed: UserEvent<'user.email_confirmed'>,
    ): Promise<{ outcome: 'reset' | 'too_late' }> => {
      const withoutPhone = data.reseal(account, { ...data.open(account), phone: null })
      const rows = await db.write(sql`
        with token as materialized (${owner(hash, 'reset')}), before as (
          select id, ${isUnproven} as unproven from ${users}
           where id = (select user_id from token) and version = ${account.version} and status <> 'erased' for update
        ), changed as (
          update ${users} as u
             set status = 'active', pending_email = null, session_version = u.session_version + 1, version = u.version + 1,
                 email_confirmed_at = case when before.unproven then now() else u.email_confirmed_at end,
                 personal = case when before.unproven then ${withoutPhone}::bytea else u.personal end
            from before where u.id = before.id returning u.id, u.version, u.email_lookup, before.unproven
        ), ${withPassword(passwordHash)}, ${voidMails(sql`changed`)},
        newly as (select id, version from changed where unproven),
        factor as (delete from ${secondFactors} as f using newly where f.user_id = newly.id),
        codes as (delete from ${recoveryCodes} as r using newly where r.user_id = newly.id),
        attempts as (delete from ${signInAttempts} as a using changed where a.key = changed.email_lookup),
        event as (${appendEvent(outbox, event, sql`changed`)}),
        confirmed as (${appendEvent(outbox, confirmed, sql`newly`)})
        select id from changed`)
      return { outcome: rows.length > 0 ? 'reset' : 'too_late' }
    },
  }
}
