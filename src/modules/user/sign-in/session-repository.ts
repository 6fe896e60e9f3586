import { type SQL, sql } from 'drizzle-orm'
import type { Database } from '../../../platform/db/database.ts'
import { appendEvent } from '../../../platform/events/outbox-repository.ts'
import { outbox, refreshTokens, secondFactors, users } from '../tables.ts'
import type { UserEvent } from '../user-row.sql.ts'
import { type NewFamily, startFamily } from './family-repository.ts'
import { type FactorProof, useFactor } from './second-factor-repository.ts'

/** A used token that comes again within this many seconds may be a client's second tab, not a thief. */
const graceSeconds = 5

/** The proof of a sign-in: the password, verified before, and a code if there is a second factor. */
export interface Proving {
  readonly userId: number
  readonly sessionVersion: number
  /** Proof of the second factor; undefined if there is none. */
  readonly proof: FactorProof | undefined
  readonly event: UserEvent<'user.signed_in' | 'user.reauthenticated'>
}

export type SignIn = Proving & NewFamily

interface Refreshed {
  readonly user_id: number
  readonly session_version: number
  readonly amr: string
}

/** `reused`: the token was used before, and its family ends. `invalid`: it is unknown, revoked or expired, or its person has changed. */
export type Refresh =
  | ({ readonly outcome: 'refreshed' } & Refreshed)
  | { readonly outcome: 'reused' }
  | { readonly outcome: 'invalid' }

/** CTEs: `signed` has the person's row, or none if the proof was used already or the person has changed meanwhile. */
const prove = ({ userId, sessionVersion, proof, event }: Proving): SQL => {
  const proven = proof
    ? useFactor(userId, proof)
    : sql`select ${userId}::int as user_id where not exists (select from ${secondFactors} where user_id = ${userId} and confirmed_at is not null)`
  return sql`
    proven as (${proven}),
    signed as (
      select u.id, u.version, u.session_version from ${users} u join proven on proven.user_id = u.id
       where u.status = 'active' and u.session_version = ${sessionVersion}
    ), event as (${appendEvent(outbox, event, sql`signed`)})`
}

export type SessionRepository = ReturnType<typeof createSessionRepository>

export const createSessionRepository = (db: Database) => ({
  /** Starts a token family. `overtaken`: the proof was used already, or the person has changed meanwhile. */
  signIn: async (signIn: SignIn): Promise<{ outcome: 'signed_in' | 'overtaken' }> => {
    const rows = await db.write(sql`
      with ${prove(signIn)}, token as (${startFamily(signIn, sql`signed`)})
      select id from signed`)
    return { outcome: rows.length > 0 ? 'signed_in' : 'overtaken' }
  },

  /** As `signIn`, for a signed-in person. */
  prove: async (proving: Proving): Promise<{ outcome: 'proven' | 'overtaken' }> => {
    const rows = await db.write(sql`with ${prove(proving)} select id from signed`)
    return { outcome: rows.length > 0 ? 'proven' : 'overtaken' }
  },

  /**
   * Replaces a used token by a new one. The family's first row represents the whole family: it is locked first and carries the
   * revocation, so that a revocation cannot miss a token that is being created. A reused token revokes the family, unless it was
   * used just now and its successor was not.
   */
  refresh: async (presented: Buffer, next: Buffer, reuse: UserEvent<'user.refresh_reuse_detected'>): Promise<Refresh> => {
    const [row] = await db.write<Refreshed | { user_id: number; session_version: null }>(
      sql`
      with root as materialized (
        select token_hash, revoked_at from ${refreshTokens}
         where family = (select family from ${refreshTokens} where token_hash = ${presented})
         order by created_at limit 1 for update
      ), used as (
        update ${refreshTokens} as t set used_at = now()
          from root, ${users} u
         where t.token_hash = ${presented} and t.used_at is null and t.expires_at > now() and root.revoked_at is null
           and u.id = t.user_id and u.status = 'active' and u.session_version = t.session_version
        returning t.family, t.user_id, t.session_version, t.amr, t.expires_at
      ), next as (
        insert into ${refreshTokens} (token_hash, family, user_id, session_version, amr, created_at, expires_at)
        select ${next}::bytea, family, user_id, session_version, amr, clock_timestamp(), expires_at from used
      ), reused as (
        select t.user_id from ${refreshTokens} t
         where t.token_hash = ${presented} and not exists (select from used)
           and (t.used_at < now() - ${graceSeconds} * interval '1 second'
                or exists (
                     select from ${refreshTokens} later where later.family = t.family and later.created_at > t.created_at and later.used_at is not null))
      ), revoked as (
        update ${refreshTokens} as t set revoked_at = now() from root, reused
         where t.token_hash = root.token_hash and t.revoked_at is null returning t.user_id
      ), owner as (select u.id, u.version from ${users} u join revoked on revoked.user_id = u.id),
      event as (${appendEvent(outbox, reuse, sql`owner`)})
      select user_id, session_version, amr from used union all select user_id, null, null from revoked`,
      ({ session_version }) => session_version === null,
    )
    if (!row) return { outcome: 'invalid' }
    return row.session_version === null ? { outcome: 'reused' } : { outcome: 'refreshed', ...row }
  },

  /** Ends the family of this token, if there is one. */
  signOut: async (presented: Buffer, event: UserEvent<'user.signed_out'>): Promise<void> => {
    await db.write(sql`
      with root as materialized (
        select token_hash from ${refreshTokens}
         where family = (select family from ${refreshTokens} where token_hash = ${presented})
         order by created_at limit 1 for update
      ), revoked as (
        update ${refreshTokens} as t set revoked_at = now() from root
         where t.token_hash = root.token_hash and t.revoked_at is null and t.expires_at > now() returning t.user_id
      ), owner as (select u.id, u.version from ${users} u join revoked on revoked.user_id = u.id),
      event as (${appendEvent(outbox, event, sql`owner`)})
      select id from owner`)
  },
})
