import { sql } from 'drizzle-orm'
import type { Database } from '../../../platform/db/database.ts'
import { allOf, equals } from '../../../platform/db/page.sql.ts'
import { appendEvent } from '../../../platform/events/outbox-repository.ts'
import type { MailPurpose, User } from '../contract.ts'
import type { PersonalData } from '../personal-data.ts'
import { credentials, mailTokens, outbox, recoveryCodes, refreshTokens, secondFactors, users } from '../tables.ts'
import { isSealed, openRow, rowColumns, type UserEvent, type UserRow } from '../user-row.sql.ts'

export interface SignInRecord {
  readonly created_at: string
  readonly last_used_at: string | null
  readonly expires_at: string
  readonly ended_at: string | null
}

export interface MailTokenRecord {
  readonly purpose: MailPurpose
  readonly created_at: string
  readonly expires_at: string
  readonly used_at: string | null
}

/** The data that this module holds about a person; hashes of secrets are left out. */
export interface AccountRecord {
  readonly status: string
  readonly pending_email: string | null
  readonly password_changed_at: string | null
  readonly second_factor_since: string | null
  readonly recovery_codes_left: number
  readonly sign_ins: readonly SignInRecord[]
  readonly mail_tokens: readonly MailTokenRecord[]
}

export type ExportRepository = ReturnType<typeof createExportRepository>

export const createExportRepository = (db: Database, data: PersonalData) => {
  /** jsonb in the form of other responses. */
  const time = (column: string) => sql.raw(`to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`)

  return {
    /**
     * All data held here about a person, with the event that records the export. Undefined if there is no such person, or if
     * `owner` is given and differs.
     */
    read: async (
      id: number,
      owner: number | undefined,
      event: UserEvent<'user.exported'>,
    ): Promise<{ user: User; account: AccountRecord } | undefined> => {
      const [row] = await db.write<UserRow & Omit<AccountRecord, 'status' | 'pending_email'>>(sql`
        with person as (
          select ${rowColumns()} from ${users}
           where ${allOf([sql`id = ${id} and status <> 'erased'`, equals(sql`id`, owner)])}
        ), event as (${appendEvent(outbox, event, sql`person`)}),
        sign_in as (
          select min(t.created_at) as created_at, max(t.used_at) as last_used_at, max(t.expires_at) as expires_at, max(t.revoked_at) as ended_at
            from ${refreshTokens} t join person on t.user_id = person.id group by t.family
        )
        select person.*,
               (select c.changed_at from ${credentials} c where c.user_id = person.id) as password_changed_at,
               (select f.confirmed_at from ${secondFactors} f where f.user_id = person.id) as second_factor_since,
               (select count(*) from ${recoveryCodes} r where r.user_id = person.id and r.used_at is null)::int as recovery_codes_left,
               (select coalesce(jsonb_agg(jsonb_build_object('created_at', ${time('s.created_at')}, 'last_used_at', ${time('s.last_used_at')},
                                                             'expires_at', ${time('s.expires_at')}, 'ended_at', ${time('s.ended_at')})
                                          order by s.created_at desc), '[]') from sign_in s) as sign_ins,
               (select coalesce(jsonb_agg(jsonb_build_object('purpose', m.purpose, 'created_at', ${time('m.created_at')},
                                                             'expires_at', ${time('m.expires_at')}, 'used_at', ${time('m.used_at')})
                                          order by m.created_at desc), '[]') from ${mailTokens} m where m.user_id = person.id) as mail_tokens
          from person`)
      if (!row) return undefined
      const pending_email = row.pending_email && isSealed(row) ? data.openAddress(row, row.pending_email) : null
      const { status, password_changed_at, second_factor_since, recovery_codes_left, sign_ins, mail_tokens } = row
      return {
        user: openRow(data, row),
        account: { status, pending_email, password_changed_at, second_factor_since, recovery_codes_left, sign_ins, mail_tokens },
      }
    },
  }
}
