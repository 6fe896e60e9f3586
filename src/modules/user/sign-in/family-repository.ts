import { type SQL, sql } from 'drizzle-orm'
import { refreshTokens } from '../tables.ts'

/** How long one session can be extended by refreshing. */
const familyDays = 30

/** One session: its first refresh token's hash, and how the person signed in (RFC 8176). */
export interface NewFamily {
  readonly tokenHash: Buffer
  readonly family: string
  readonly amr: readonly string[]
}

/** A password alone, or with a code of the second factor. */
export const amrOf = (withFactor: boolean): readonly string[] => (withFactor ? ['pwd', 'otp'] : ['pwd'])

/** Body of a CTE: starts a token family for each person of `source`, which has `id` and `session_version`. */
export const startFamily = ({ tokenHash, family, amr }: NewFamily, source: SQL): SQL => sql`
  insert into ${refreshTokens} (token_hash, family, user_id, session_version, amr, expires_at)
  select ${tokenHash}::bytea, ${family}::uuid, id, session_version, ${amr.join(' ')}, now() + ${familyDays} * interval '1 day' from ${source}`
