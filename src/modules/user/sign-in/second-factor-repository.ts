import { type SQL, sql } from 'drizzle-orm'
import type { Database } from '../../../platform/db/database.ts'
import { appendEvent } from '../../../platform/events/outbox-repository.ts'
import { outbox, recoveryCodes, refreshTokens, secondFactors, users } from '../tables.ts'
import type { UserEvent } from '../user-row.sql.ts'
import { type NewFamily, startFamily } from './family-repository.ts'

/** A correct code: its time step (RFC 6238), or the hash of a recovery code. The statement checks whether it was used. */
export type FactorProof = { readonly step: number } | { readonly codeHash: Buffer }

/** Body of a CTE: uses the proof up and returns `user_id`, or no row if it was used before. */
export const useFactor = (userId: number, proof: FactorProof): SQL =>
  'step' in proof
    ? sql`update ${secondFactors} set last_step = ${proof.step}::bigint
           where user_id = ${userId} and confirmed_at is not null and last_step < ${proof.step}::bigint returning user_id`
    : sql`update ${recoveryCodes} set used_at = now()
           where user_id = ${userId} and code_hash = ${proof.codeHash} and used_at is null returning user_id`

/** As `useFactor`, for the last time: a statement must not change a row and delete it too. */
const spendFactor = (userId: number, proof: FactorProof): SQL =>
  'step' in proof
    ? sql`delete from ${secondFactors} where user_id = ${userId} and confirmed_at is not null and last_step < ${proof.step}::bigint returning user_id`
    : sql`delete from ${recoveryCodes} where user_id = ${userId} and code_hash = ${proof.codeHash} and used_at is null returning user_id`

type FactorEvent = UserEvent<'user.second_factor_enrolled' | 'user.second_factor_removed' | 'user.second_factor_reset'>

export type SecondFactorRepository = ReturnType<typeof createSecondFactorRepository>

export const createSecondFactorRepository = (db: Database) => {
  /** Applies the CTE `source`, which has `user_id`, to the person: ends every session, and adds the event. */
  const changed = (source: SQL, event: FactorEvent): SQL => sql`
    changed as (
      update ${users} as u set version = u.version + 1, session_version = u.session_version + 1 from ${source} as s
       where u.id = s.user_id returning u.id, u.version, u.session_version
    ), ended as (delete from ${refreshTokens} as t using changed where t.user_id = changed.id),
    event as (${appendEvent(outbox, event, sql`changed`)})`

  return {
    /** Stores a secret that is not confirmed yet, unless one is confirmed already. */
    enrol: async (userId: number, secret: Buffer): Promise<{ outcome: 'stored' | 'already_enrolled' }> => {
      const rows = await db.run(sql`
        insert into ${secondFactors} as f (user_id, secret) values (${userId}, ${secret})
        on conflict (user_id) do update set secret = excluded.secret, last_step = 0 where f.confirmed_at is null
        returning user_id`)
      return { outcome: rows.length > 0 ? 'stored' : 'already_enrolled' }
    },

    /**
     * Returns the session version of the new session. `overtaken`: it was confirmed meanwhile, or another secret has replaced this one.
     */
    confirm: async (
      userId: number,
      { secret, step, codeHashes }: { secret: Buffer; step: number; codeHashes: readonly Buffer[] },
      family: NewFamily,
      event: UserEvent<'user.second_factor_enrolled'>,
    ): Promise<{ readonly outcome: 'confirmed'; readonly sessionVersion: number } | { readonly outcome: 'overtaken' }> => {
      const codes = JSON.stringify(codeHashes.map((hash) => hash.toString('hex')))
      const [row] = await db.write<{ session_version: number }>(sql`
        with confirmed as (
          update ${secondFactors} set confirmed_at = now(), last_step = ${step}::bigint
           where user_id = ${userId} and confirmed_at is null and secret = ${secret} returning user_id
        ), codes as (
          insert into ${recoveryCodes} (user_id, code_hash)
          select c.user_id, decode(code.value, 'hex') from confirmed c, jsonb_array_elements_text(${codes}::jsonb) as code
        ), ${changed(sql`confirmed`, event)}, token as (${startFamily(family, sql`changed`)})
        select session_version from changed`)
      return row ? { outcome: 'confirmed', sessionVersion: row.session_version } : { outcome: 'overtaken' }
    },

    remove: async (
      userId: number,
      proof: FactorProof,
      event: UserEvent<'user.second_factor_removed'>,
    ): Promise<{ outcome: 'removed' | 'proof_used' }> => {
      const spentCode = 'step' in proof ? sql`` : sql`and r.code_hash <> ${proof.codeHash}`
      const factor =
        'step' in proof ? sql`` : sql`factor as (delete from ${secondFactors} as f using spent where f.user_id = spent.user_id),`
      const rows = await db.write(sql`
        with spent as (${spendFactor(userId, proof)}), ${factor}
        codes as (delete from ${recoveryCodes} as r using spent where r.user_id = spent.user_id ${spentCode}),
        ${changed(sql`spent`, event)}
        select id from changed`)
      return { outcome: rows.length > 0 ? 'removed' : 'proof_used' }
    },

    /** Removes a person's factor without a proof. */
    reset: async (
      userId: number,
      event: UserEvent<'user.second_factor_reset'>,
    ): Promise<{ outcome: 'removed' | 'not_enrolled' }> => {
      const rows = await db.write(sql`
        with dropped as (delete from ${secondFactors} where user_id = ${userId} and confirmed_at is not null returning user_id),
        codes as (delete from ${recoveryCodes} as r using dropped where r.user_id = dropped.user_id),
        ${changed(sql`dropped`, event)}
        select id from changed`)
      return { outcome: rows.length > 0 ? 'removed' : 'not_enrolled' }
    },
  }
}
