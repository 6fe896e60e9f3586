import { sql } from 'drizzle-orm'
import { readByIds } from '../../platform/db/batch-loader.ts'
import { arrayLiteral, type Database } from '../../platform/db/database.ts'
import { pageClauses } from '../../platform/db/page.sql.ts'
import { appendEvent } from '../../platform/events/outbox-repository.ts'
import type { PageRequest } from '../../platform/page.ts'
import type { User } from './contract.ts'
import type { PersonalData } from './personal-data.ts'
import type { SampleUser } from './sample.ts'
import {
  credentials,
  mailRequests,
  mailTokens,
  outbox,
  recoveryCodes,
  refreshTokens,
  secondFactors,
  signInAttempts,
  users,
} from './tables.ts'
import { createUpdateUser } from './update-repository.ts'
import {
  type Created,
  createChange,
  createNextId,
  insertUser,
  leavesAnAdmin,
  lockedAdmins,
  type NewUser,
  openRow,
  rowColumns,
  type UserEvent,
  type UserRow,
} from './user-row.sql.ts'

export type UserRepository = ReturnType<typeof createUserRepository>

interface StoredSession {
  readonly id: number
  readonly role: User['role']
  readonly session_version: number
  /** In a second factor. */
  readonly enrolled: boolean
}

const fields = rowColumns()

export const createUserRepository = (db: Database, data: PersonalData) => {
  const opened = (row: UserRow): User => openRow(data, row)
  const nextId = createNextId(db)
  const change = createChange(db, data)

  const selectByIds = db.prepare<UserRow>(
    sql`select ${fields} from ${users} where id = any (${sql.placeholder('ids')}::int[]) and status <> 'erased'`,
  )
  const rowsByIds = readByIds<UserRow>((ids) => selectByIds({ ids: arrayLiteral(ids) }))

  const selectSessions = db.prepare<StoredSession>(sql`
    select u.id, u.role, u.session_version, f.confirmed_at is not null as enrolled
      from ${users} u left join ${secondFactors} f on f.user_id = u.id
     where u.id = any (${sql.placeholder('ids')}::int[]) and u.status = 'active'`)

  return {
    byIds: async (ids: readonly number[]): Promise<User[]> => (await rowsByIds(ids)).map(opened),

    page: async (page: PageRequest): Promise<User[]> => {
      const rows = await db.run<UserRow>(sql`
        select ${fields} from ${users}
         ${pageClauses(page, { at: sql`created_at`, id: sql`id` }, [sql`status <> 'erased'`])}`)
      return rows.map(opened)
    },

    /** The index decides whether the address is taken, so two concurrent requests cannot both win. */
    insert: async (user: NewUser, event: UserEvent<'user.created'>): Promise<Created> => {
      const id = await nextId()
      const created = await change(insertUser(data, id, user), event)
      return created ? { outcome: 'created', user: created } : { outcome: 'email_taken' }
    },

    update: createUpdateUser(db, data, change),

    /**
     * Erases the person: removes the data key and what it encrypted; id and role stay. Returns the user from before.
     * `unchanged`: there is none, or it is the last administrator.
     */
    erase: async (
      id: number,
      event: UserEvent<'user.deleted'>,
    ): Promise<{ readonly outcome: 'erased'; readonly user: User } | { readonly outcome: 'unchanged' }> => {
      const [row] = await db.write<UserRow>(sql`
        with admins as materialized (${lockedAdmins}), before as (
          select ${fields}, email_lookup from ${users}
           where id = ${id} and status <> 'erased' and ${leavesAnAdmin(id)} for update
        ), changed as (
          update ${users} as u
             set personal = null, data_key = null, ring_key = null, email_lookup = null, name = null, email = null, phone = null, pending_email = null, status = 'erased', erased_at = now(),
                 version = u.version + 1, session_version = u.session_version + 1
            from before where u.id = before.id returning u.id, u.version
        ), event as (${appendEvent(outbox, event, sql`changed`)}),
        no_password as (delete from ${credentials} using before where user_id = before.id),
        no_tokens as (delete from ${refreshTokens} using before where user_id = before.id),
        no_mail_tokens as (delete from ${mailTokens} using before where user_id = before.id),
        no_mail_requests as (delete from ${mailRequests} using before where user_id = before.id),
        no_factor as (delete from ${secondFactors} using before where user_id = before.id),
        no_codes as (delete from ${recoveryCodes} using before where user_id = before.id),
        no_attempts as (delete from ${signInAttempts} using before where key = before.email_lookup)
        select ${fields} from before`)
      return row ? { outcome: 'erased', user: opened(row) } : { outcome: 'unchanged' }
    },

    /** Inserts users with their ids, but only into an empty table. Later ids continue from there. */
    seed: async (rows: readonly SampleUser[]): Promise<void> => {
      const sealed = rows.map(({ id, role, locale, created_at, ...person }) => {
        const { personal, data_key, ring_key } = data.seal(id, person)
        const hex = {
          personal: personal.toString('hex'),
          data_key: data_key.toString('hex'),
          lookup: data.lookup(person.email).toString('hex'),
        }
        return { id, role, locale, created_at, ring_key, ...hex }
      })
      await db.run(sql`
        with seeded as (
          insert into ${users} (id, personal, data_key, ring_key, email_lookup, role, locale, created_at)
          select id, decode(personal, 'hex'), decode(data_key, 'hex'), ring_key, decode(lookup, 'hex'), role, locale, created_at
            from jsonb_to_recordset(${JSON.stringify(sealed)}::jsonb)
              as r(id int, personal text, data_key text, ring_key text, lookup text, role text, locale text, created_at timestamptz)
           where not exists (select from ${users})
          returning id
        )
        select setval(pg_get_serial_sequence('users.users', 'id'), max(id)) from seeded having count(*) > 0`)
    },

    /** Session state of these users. */
    sessions: readByIds<StoredSession>((ids) => selectSessions({ ids: arrayLiteral(ids) })),
  }
}
