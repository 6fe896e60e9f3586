import { sql } from 'drizzle-orm'
import type { Database } from '../../../platform/db/database.ts'
import { mailRequests, mailTokens, refreshTokens, signInAttempts } from '../tables.ts'

const windowMinutes = 15
const window = sql.raw(`interval '${windowMinutes} minutes'`)

export interface AttemptLimits {
  readonly perAccount: number
  readonly perAddress: number
}

/** `retryAfter`: seconds until there is one left. */
export type Attempt = { readonly outcome: 'counted' } | { readonly outcome: 'limited'; readonly retryAfter: number }

export type AttemptRepository = ReturnType<typeof createAttemptRepository>

export const createAttemptRepository = (db: Database) => ({
  /** Counts one attempt at the account, if there is one left. */
  take: async (account: Buffer, address: Buffer, { perAccount, perAddress }: AttemptLimits): Promise<Attempt> => {
    const [row] = await db.run<{ taken: number; seconds: number }>(sql`
      with taken as (
        insert into ${signInAttempts} as a (key, failures, expires_at)
        select ${account}::bytea, 1, now() + ${window}
         where not exists (select from ${signInAttempts} where key = ${address} and failures >= ${perAddress} and expires_at > now())
        on conflict (key) do update
           set failures = case when a.expires_at > now() then a.failures + 1 else 1 end,
               expires_at = case when a.expires_at > now() then a.expires_at else excluded.expires_at end
         where a.expires_at <= now() or a.failures < ${perAccount}
        returning 1
      )
      select (select count(*) from taken)::int as taken, coalesce(ceil(extract(epoch from max(expires_at) - now())), ${windowMinutes * 60})::int as seconds
        from ${signInAttempts}
       where expires_at > now() and ((key = ${account} and failures >= ${perAccount}) or (key = ${address} and failures >= ${perAddress}))`)
    return row?.taken === 1 ? { outcome: 'counted' } : { outcome: 'limited', retryAfter: row?.seconds ?? windowMinutes * 60 }
  },

  count: async (address: Buffer): Promise<void> => {
    await db.run(sql`
      insert into ${signInAttempts} as a (key, failures, expires_at) values (${address}, 1, now() + ${window})
      on conflict (key) do update
         set failures = case when a.expires_at > now() then a.failures + 1 else 1 end,
             expires_at = case when a.expires_at > now() then a.expires_at else excluded.expires_at end`)
  },

  giveBack: async (account: Buffer): Promise<void> => {
    await db.run(sql`update ${signInAttempts} set failures = greatest(failures - 1, 0) where key = ${account}`)
  },

  clear: async (account: Buffer): Promise<void> => {
    await db.run(sql`delete from ${signInAttempts} where key = ${account}`)
  },

  /** Deletes expired attempts and tokens. */
  prune: async (): Promise<void> => {
    await db.run(sql`
      with attempts as (delete from ${signInAttempts} where expires_at < now()),
      mailed as (delete from ${mailTokens} where expires_at < now()),
      requested as (delete from ${mailRequests} where expires_at < now())
      delete from ${refreshTokens} where expires_at < now()`)
  },
})
