import { type SQL, sql } from 'drizzle-orm'
import type { Database } from '../../../platform/db/database.ts'
import { appendEvent } from '../../../platform/events/outbox-repository.ts'
import type { User } from '../contract.ts'
import type { PersonalData, Sealed } from '../personal-data.ts'
import { credentials, outbox, refreshTokens, secondFactors, users } from '../tables.ts'
import {
  type Created,
  createNextId,
  insertUser,
  type NewUser,
  openRow,
  rowColumns,
  type UserEvent,
  type UserRow,
} from '../user-row.sql.ts'
import { askForMail } from './mail-requests-repository.ts'

/** The data for signing in: the person with their password and second factor, as stored. */
export interface Account extends Sealed {
  readonly id: number
  readonly email_lookup: Buffer
  readonly role: User['role']
  readonly locale: User['locale']
  readonly status: 'active' | 'unverified'
  readonly email_confirmed_at: string | null
  readonly phone_confirmed_at: string | null
  readonly session_version: number
  readonly version: number
  /** Sealed under the person's data key. */
  readonly pending_email: Buffer | null
  readonly created_at: string
  readonly password_hash: string | null
  /** Sealed under the person's data key. */
  readonly factor_secret: Buffer | null
  readonly factor_confirmed: boolean
}

/** The mailbox is not confirmed yet. */
export const isUnproven = sql`(status = 'unverified' or email_confirmed_at is null)`

/** Whether the mailbox is confirmed. */
export const isConfirmed = ({ status, email_confirmed_at }: Account): boolean =>
  status === 'active' && email_confirmed_at !== null

/** CTE: sets this password for each user of `changed` and ends all their sessions. */
export const withPassword = (hash: string): SQL => sql`
    password as (
      insert into ${credentials} (user_id, password_hash) select id, ${hash} from changed
      on conflict (user_id) do update set password_hash = excluded.password_hash, changed_at = now()
    ), ended as (delete from ${refreshTokens} using changed where user_id = changed.id)`

/** The account that fits the condition on `u` and `f`. */
export const createFindAccount =
  (db: Database) =>
  async (where: SQL): Promise<Account | undefined> => {
    const [row] = await db.run<Account>(sql`
      select u.id, u.personal, u.data_key, u.ring_key, u.email_lookup, u.role, u.locale, u.status, u.session_version, u.created_at, u.version, u.email_confirmed_at, u.phone_confirmed_at, u.pending_email,
             c.password_hash, f.secret as factor_secret, f.confirmed_at is not null as factor_confirmed
        from ${users} u left join ${credentials} c on c.user_id = u.id left join ${secondFactors} f on f.user_id = u.id
       where ${where} and u.status <> 'erased' and u.personal is not null`) // in plain text for a moment yet, of the first release
    return row
  }

export type AccountRepository = ReturnType<typeof createAccountRepository>

export const createAccountRepository = (db: Database, data: PersonalData) => {
  const nextId = createNextId(db)
  const find = createFindAccount(db)

  return {
    byEmail: (email: string): Promise<Account | undefined> => find(sql`u.email_lookup = ${data.lookup(email)}`),
    byId: (id: number): Promise<Account | undefined> => find(sql`u.id = ${id}`),

    /** A new person with a password. */
    register: async (
      user: NewUser,
      passwordHash: string,
      event: UserEvent<'user.created'>,
      activation?: UserEvent<'user.activation_requested'>,
    ): Promise<Created> => {
      const id = await nextId()
      const [row] = await db.write<UserRow>(sql`
        with changed as (
          ${insertUser(data, id, user)} returning *
        ), ${withPassword(passwordHash)},
        event as (${appendEvent(outbox, event, sql`changed`)})
        ${activation ? sql`, ${askForMail(activation, 'activation', sql`changed`)}` : sql``}
        select ${rowColumns()} from changed`)
      return row ? { outcome: 'created', user: openRow(data, row) } : { outcome: 'email_taken' }
    },

    /** Ends every session. `overtaken`: another change came first. */
    changePassword: async (
      { id, session_version }: Pick<Account, 'id' | 'session_version'>,
      passwordHash: string,
      event: UserEvent<'user.password_changed'>,
    ): Promise<{ outcome: 'changed' | 'overtaken' }> => {
      const rows = await db.write(sql`
        with changed as (
          update ${users} set session_version = session_version + 1, version = version + 1
           where id = ${id} and session_version = ${session_version} and status = 'active' returning id, version
        ), ${withPassword(passwordHash)},
        event as (${appendEvent(outbox, event, sql`changed`)})
        select id from changed`)
      return { outcome: rows.length > 0 ? 'changed' : 'overtaken' }
    },
  }
}
