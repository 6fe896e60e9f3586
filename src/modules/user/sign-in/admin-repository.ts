import { sql } from 'drizzle-orm'
import type { Database } from '../../../platform/db/database.ts'
import { allOf } from '../../../platform/db/page.sql.ts'
import { appendEvent } from '../../../platform/events/outbox-repository.ts'
import type { PersonalData } from '../personal-data.ts'
import { credentials, outbox, recoveryCodes, refreshTokens, secondFactors, signInAttempts, users } from '../tables.ts'
import { createNextId, openRow, plainAddress, rowColumns, type UserEvent, type UserRow } from '../user-row.sql.ts'
import { withPassword } from './account-repository.ts'
import { voidMails } from './mail-requests-repository.ts'

export interface FoundAdmin {
  readonly email: string
  readonly hasPassword: boolean
}

export type AdminRepository = ReturnType<typeof createAdminRepository>

export const createAdminRepository = (db: Database, data: PersonalData) => ({
  /** The administrator who can sign in, otherwise the first one. */
  first: async (): Promise<FoundAdmin | undefined> => {
    const [row] = await db.run<UserRow & { has_password: boolean }>(sql`
      select ${rowColumns('u')}, c.user_id is not null as has_password
        from ${users} u left join ${credentials} c on c.user_id = u.id
       where u.role = 'admin' and u.status = 'active' order by c.user_id is null, u.id limit 1`)
    return row && { email: openRow(data, row).email, hasPassword: row.has_password }
  },

  /** Whether this is the only administrator. */
  isLast: async (id: number): Promise<boolean> => {
    const [row] = await db.run<{ last: boolean }>(sql`
      select coalesce(bool_or(id = ${id}) and count(*) = 1, false) as last from ${users} where role = 'admin' and status = 'active'`)
    return row?.last ?? false
  },

  /**
   * Makes the person with this address an administrator with this password, if no administrator has a password; of several
   * processes at once, one does it. Removes what a stranger may have set before: second factor, phone, and mailed tokens.
   */
  install: async (
    email: string,
    passwordHash: string,
    event: UserEvent<'user.updated'>,
  ): Promise<{ outcome: 'installed' | 'unchanged' }> => {
    const id = await createNextId(db)()
    const { personal, data_key, ring_key } = data.seal(id, { name: 'Administrator', email, phone: null })
    const rows = await db.write(sql`
      with wanted as (
        select where not exists (
          select from ${users} a join ${credentials} c on c.user_id = a.id where a.role = 'admin' and a.status = 'active')
      ), changed as (
        insert into ${users} as u (id, personal, data_key, ring_key, email_lookup, role)
        select ${id}::int, ${personal}::bytea, ${data_key}::bytea, ${ring_key}, ${data.lookup(email)}::bytea, 'admin' from wanted
         where not exists (${plainAddress(email)})
        on conflict (email_lookup) do update
           set role = 'admin', status = 'active', email_confirmed_at = now(), phone_confirmed_at = null, pending_email = null, session_version = u.session_version + 1, version = u.version + 1
         where u.role <> 'admin' or u.status <> 'active'
        returning u.id, u.version
      ), target as (
        select id, version from changed
        union all
        select u.id, u.version from ${users} u, wanted where u.email_lookup = ${data.lookup(email)} and u.role = 'admin' and u.status = 'active'
           and not exists (select from changed)
      ), password as (
        insert into ${credentials} as c (user_id, password_hash) select id, ${passwordHash} from target
        on conflict (user_id) do update set password_hash = excluded.password_hash, changed_at = now() where exists (select from changed)
        returning user_id
      ), ended as (delete from ${refreshTokens} using changed where user_id = changed.id),
      factor as (delete from ${secondFactors} as f using changed where f.user_id = changed.id),
      codes as (delete from ${recoveryCodes} as r using changed where r.user_id = changed.id), ${voidMails(sql`changed`)},
      installed as (select target.id, target.version from target join password on password.user_id = target.id),
      event as (${appendEvent(outbox, event, sql`installed`)})
      select id from installed`)
    return { outcome: rows.length > 0 ? 'installed' : 'unchanged' }
  },

  /**
   * Sets this password for the administrator with this address, or for the one that `first` finds. Ends their sessions, voids
   * mailed tokens, and clears failed attempts, which would lock them out. @returns their address
   */
  resetPassword: async (
    email: string | undefined,
    passwordHash: string,
    event: UserEvent<'user.password_changed'>,
  ): Promise<{ readonly outcome: 'reset'; readonly email: string } | { readonly outcome: 'not_found' }> => {
    const named = email !== undefined && sql`u.email_lookup = ${data.lookup(email)}`
    const [row] = await db.write<UserRow>(sql`
      with chosen as (
        select u.id from ${users} u left join ${credentials} c on c.user_id = u.id
         where ${allOf([sql`u.role = 'admin' and u.status = 'active'`, named])} order by c.user_id is null, u.id limit 1
      ), changed as (
        update ${users} as u set session_version = u.session_version + 1, version = u.version + 1 from chosen
         where u.id = chosen.id and u.role = 'admin' and u.status = 'active' returning u.*
      ), ${withPassword(passwordHash)},
      ${voidMails(sql`changed`)},
      attempts as (delete from ${signInAttempts} as a using changed where a.key = changed.email_lookup),
      event as (${appendEvent(outbox, event, sql`changed`)})
      select ${rowColumns()} from changed`)
    return row ? { outcome: 'reset', email: openRow(data, row).email } : { outcome: 'not_found' }
  },
})
