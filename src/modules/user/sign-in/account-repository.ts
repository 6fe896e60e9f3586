import { type SQL, sql } from 'drizzle-orm'
import type { Database } from '../../../platform/db.ts'
import type { NewEvent } from '../../../platform/events/event.ts'
import { appendEvent } from '../../../platform/events/repository.ts'
import type { MailPurpose, User } from '../contract.ts'
import type { PersonalData, Sealed } from '../personal-data.ts'
import { createNextId, insertUser, type NewUser, newUserFields, openRow, rowColumns, type UserRow } from '../rows-repository.ts'
import { credentials, mailTokens, outbox, refreshTokens, secondFactors, signInAttempts, users } from '../tables.ts'

/** What signing in is about: the person with their password and second factor, as stored. */
export interface Account extends Sealed {
  readonly id: number
  readonly email_lookup: Buffer
  readonly role: User['role']
  readonly locale: User['locale']
  readonly status: 'active' | 'unverified'
  readonly email_confirmed_at: string | null
  readonly phone_confirmed_at: string | null
  readonly session_version: number
  readonly created_at: string
  readonly password_hash: string | null
  /** Sealed under the person's data key. */
  readonly factor_secret: Buffer | null
  readonly factor_confirmed: boolean
}

/** Nobody has shown yet that the mailbox is theirs. */
const isUnproven = sql`(status = 'unverified' or email_confirmed_at is null)`

/** How long a mailed token is good. */
const mailTokenLife: Readonly<Record<MailPurpose, SQL>> = {
  activation: sql.raw(`interval '3 days'`),
  reset: sql.raw(`interval '1 hour'`),
}

/** As a CTE: this password for each user of `changed`, whose sign-ins all end. */
export const withPassword = (hash: string): SQL => sql`
    password as (
      insert into ${credentials} (user_id, password_hash) select id, ${hash} from changed
      on conflict (user_id) do update set password_hash = excluded.password_hash, changed_at = now()
    ), ended as (delete from ${refreshTokens} using changed where user_id = changed.id)`

/** As a CTE `unproven`: the person of `token`, where this token is the first proof of their mailbox. */
const mailbox = (token: SQL): SQL => sql`
    unproven as (
      select id, status from ${users} where id = (select user_id from ${token}) and status <> 'erased' and ${isUnproven} for update
    )`

export type AccountRepository = ReturnType<typeof createAccountRepository>

export const createAccountRepository = (db: Database, data: PersonalData) => {
  const nextId = createNextId(db)
  const find = async (where: SQL): Promise<Account | undefined> => {
    const [row] = await db.run<Account>(sql`
      select u.id, u.personal, u.data_key, u.ring_key, u.email_lookup, u.role, u.locale, u.status, u.session_version, u.created_at, u.email_confirmed_at, u.phone_confirmed_at,
             c.password_hash, f.secret as factor_secret, f.confirmed_at is not null as factor_confirmed
        from ${users} u left join ${credentials} c on c.user_id = u.id left join ${secondFactors} f on f.user_id = u.id
       where ${where} and u.status <> 'erased' and u.personal is not null`) // in plain text for a moment yet, of the first release
    return row
  }

  return {
    byEmail: (email: string): Promise<Account | undefined> => find(sql`u.email_lookup = ${data.lookup(email)}`),
    byId: (id: number): Promise<Account | undefined> => find(sql`u.id = ${id}`),

    /** A new person with a password; undefined when the address is taken. */
    register: async (user: NewUser, passwordHash: string, event: NewEvent, activation?: NewEvent): Promise<User | undefined> => {
      const id = await nextId()
      const fields = JSON.stringify({ fields: newUserFields })
      const [row] = await db.run<UserRow>(sql`
        with changed as (
          ${insertUser(data, id, user)} returning *
        ), ${withPassword(passwordHash)},
        event as (${appendEvent(outbox, event, sql`changed`, sql`${fields}::jsonb`)})
        ${activation ? sql`, asked as (${appendEvent(outbox, activation, sql`changed`)})` : sql``}
        select ${rowColumns()} from changed`)
      return row && openRow(data, row)
    },

    /** Asks for a mail to whoever has this address; does as much where nobody has it. */
    requestReset: async (email: string, event: NewEvent): Promise<void> => {
      await db.run(sql`
        with person as (select id, version from ${users} where email_lookup = ${data.lookup(email)} and status <> 'erased')
        ${appendEvent(outbox, event, sql`person`)}`)
    },

    /** Keeps a token's hash in place of earlier ones for the same purpose; false when the person has no use for one. */
    keepMailToken: async (userId: number, purpose: MailPurpose, hash: Buffer): Promise<boolean> => {
      const useful = purpose === 'activation' ? sql`status <> 'erased' and ${isUnproven}` : sql`status <> 'erased'`
      const rows = await db.run(sql`
        with person as (select id from ${users} where id = ${userId} and ${useful}),
        void as (
          update ${mailTokens} as t set used_at = now() from person
           where t.user_id = person.id and t.purpose = ${purpose} and t.used_at is null
        )
        insert into ${mailTokens} (token_hash, user_id, purpose, expires_at)
        select ${hash}::bytea, id, ${purpose}, now() + ${mailTokenLife[purpose]} from person returning user_id`)
      return rows.length > 0
    },

    /** Voids what was mailed: the address is another's now. */
    voidMailTokens: async (userId: number): Promise<void> => {
      await db.run(sql`update ${mailTokens} set used_at = now() where user_id = ${userId} and used_at is null`)
    },

    /** Whose token this is, while it is good. */
    byMailToken: (hash: Buffer, purpose: MailPurpose): Promise<Account | undefined> =>
      find(
        sql`u.id = (select user_id from ${mailTokens} where token_hash = ${hash} and purpose = ${purpose} and used_at is null and expires_at > now())`,
      ),

    /** False when the token was used meanwhile. `activated` for an account that nobody could sign in to before. */
    activate: async (hash: Buffer, activated: NewEvent, confirmed: NewEvent): Promise<boolean> => {
      const rows = await db.run(sql`
        with token as (
          update ${mailTokens} set used_at = now()
           where token_hash = ${hash} and purpose = 'activation' and used_at is null and expires_at > now() returning user_id
        ), ${mailbox(sql`token`)}, changed as (
          update ${users} as u set status = 'active', email_confirmed_at = now(), version = u.version + 1 from unproven
           where u.id = unproven.id returning u.id, u.version, unproven.status
        ), event as (${appendEvent(outbox, activated, sql`(select * from changed where status = 'unverified')`)}),
        confirmed as (${appendEvent(outbox, confirmed, sql`changed`)})
        select id from changed`)
      return rows.length > 0
    },

    /** Ends every sign-in, whoever's it was; false when the token was used meanwhile. */
    reset: async (hash: Buffer, passwordHash: string, event: NewEvent, confirmed: NewEvent): Promise<boolean> => {
      const rows = await db.run(sql`
        with token as (
          update ${mailTokens} set used_at = now()
           where token_hash = ${hash} and purpose = 'reset' and used_at is null and expires_at > now() returning user_id
        ), ${mailbox(sql`token`)}, changed as (
          update ${users} as u
             set status = 'active', email_confirmed_at = case when exists (select from unproven) then now() else u.email_confirmed_at end,
                 session_version = u.session_version + 1, version = u.version + 1 from token
           where u.id = token.user_id and u.status <> 'erased' returning u.id, u.version, u.email_lookup
        ), ${withPassword(passwordHash)},
        others as (update ${mailTokens} as t set used_at = now() from changed where t.user_id = changed.id and t.token_hash <> ${hash} and t.used_at is null),
        attempts as (delete from ${signInAttempts} as a using changed where a.key = changed.email_lookup),
        event as (${appendEvent(outbox, event, sql`changed`)}),
        confirmed as (${appendEvent(outbox, confirmed, sql`(select changed.* from changed join unproven using (id))`)})
        select id from changed`)
      return rows.length > 0
    },

    /** Ends every sign-in; false when another change came first. */
    changePassword: async (
      { id, session_version }: Pick<Account, 'id' | 'session_version'>,
      passwordHash: string,
      event: NewEvent,
    ): Promise<boolean> => {
      const rows = await db.run(sql`
        with changed as (
          update ${users} set session_version = session_version + 1, version = version + 1
           where id = ${id} and session_version = ${session_version} and status = 'active' returning id, version
        ), ${withPassword(passwordHash)},
        event as (${appendEvent(outbox, event, sql`changed`)})
        select id from changed`)
      return rows.length > 0
    },
  }
}
