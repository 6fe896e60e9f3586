import { sql } from 'drizzle-orm'
import type { Database } from '../../../platform/db.ts'
import type { NewEvent } from '../../../platform/events/event.ts'
import { appendEvent } from '../../../platform/events/repository.ts'
import { outbox, refreshTokens, secondFactors, users } from '../tables.ts'
import { type FactorProof, useFactor } from './second-factor-repository.ts'

/** How long one sign-in can be kept up by refreshing. */
const familyDays = 30
/** A used token that comes again within so many seconds may be a client's second tab, not a thief. */
const graceSeconds = 5

export interface SignIn {
  readonly userId: number
  readonly sessionVersion: number
  /** Of the person's second factor; undefined where they have none. */
  readonly proof: FactorProof | undefined
  readonly tokenHash: Buffer
  readonly family: string
  readonly event: NewEvent
}

export interface Refreshed {
  readonly user_id: number
  readonly session_version: number
}

export type SessionRepository = ReturnType<typeof createSessionRepository>

export const createSessionRepository = (db: Database) => ({
  /** Starts a family of refresh tokens; false when the proof was used already or the person has changed meanwhile. */
  signIn: async ({ userId, sessionVersion, proof, tokenHash, family, event }: SignIn): Promise<boolean> => {
    const proven = proof
      ? useFactor(userId, proof)
      : sql`select ${userId}::int as user_id where not exists (select from ${secondFactors} where user_id = ${userId} and confirmed_at is not null)`
    const rows = await db.run(sql`
      with proven as (${proven}),
      signed as (
        select u.id, u.version, u.session_version from ${users} u join proven on proven.user_id = u.id
         where u.status = 'active' and u.session_version = ${sessionVersion}
      ), token as (
        insert into ${refreshTokens} (token_hash, family, user_id, session_version, expires_at)
        select ${tokenHash}::bytea, ${family}::uuid, id, session_version, now() + ${familyDays} * interval '1 day' from signed
      ), event as (${appendEvent(outbox, event, sql`signed`)})
      select id from signed`)
    return rows.length > 0
  },

  /**
   * Puts a new token in a used one's place. The family's first row stands for the whole family: it is locked first and
   * carries the revocation, so that a revocation cannot miss a token that is being made. A token that was used before
   * revokes the family, unless it was used just now and its successor was not.
   */
  refresh: async (presented: Buffer, next: Buffer, reuse: NewEvent): Promise<Refreshed | 'reused' | undefined> => {
    const [row] = await db.run<{ user_id: number; session_version: number | null }>(sql`
      with root as materialized (
        select token_hash, revoked_at from ${refreshTokens}
         where family = (select family from ${refreshTokens} where token_hash = ${presented})
         order by created_at limit 1 for update
      ), used as (
        update ${refreshTokens} as t set used_at = now()
          from root, ${users} u
         where t.token_hash = ${presented} and t.used_at is null and t.expires_at > now() and root.revoked_at is null
           and u.id = t.user_id and u.status = 'active' and u.session_version = t.session_version
        returning t.family, t.user_id, t.session_version, t.expires_at
      ), next as (
        insert into ${refreshTokens} (token_hash, family, user_id, session_version, created_at, expires_at)
        select ${next}::bytea, family, user_id, session_version, clock_timestamp(), expires_at from used
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
      select user_id, session_version from used union all select user_id, null from revoked`)
    if (!row) return undefined
    return row.session_version === null ? 'reused' : { user_id: row.user_id, session_version: row.session_version }
  },

  /** Ends the family of this token; false when it has ended, or there is none. */
  signOut: async (presented: Buffer, event: NewEvent): Promise<boolean> => {
    const rows = await db.run(sql`
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
    return rows.length > 0
  },
})
