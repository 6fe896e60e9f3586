import { type SQL, sql } from 'drizzle-orm'
import { readByIds } from '../../platform/coalesce.ts'
import { arrayLiteral, type Database, violatedConstraint } from '../../platform/db.ts'
import type { NewEvent } from '../../platform/events/event.ts'
import { appendEvent } from '../../platform/events/repository.ts'
import type { PageRequest } from '../../platform/page.ts'
import type { User } from './contract.ts'
import type { PersonalData } from './personal-data.ts'
import { sealRows } from './privacy/upkeep-repository.ts'
import {
  createNextId,
  insertUser,
  isSealed,
  type NewUser,
  newUserFields,
  openRow,
  plainAddress,
  rowColumns,
  type UserRow,
} from './rows-repository.ts'
import { credentials, mailTokens, outbox, recoveryCodes, refreshTokens, secondFactors, signInAttempts, users } from './tables.ts'

export type UserChanges = Partial<Omit<User, 'id' | 'created_at'>>
export type UserRepository = ReturnType<typeof createUserRepository>

interface StoredSession {
  readonly id: number
  readonly role: User['role']
  readonly session_version: number
  /** In a second factor. */
  readonly enrolled: boolean
}

const fields = rowColumns()
const isTaken = (error: unknown) => violatedConstraint(error) === 'users_email_lookup'

export const createUserRepository = (db: Database, data: PersonalData) => {
  const opened = (row: UserRow): User => openRow(data, row)
  const seal = sealRows(db, data)
  const nextId = createNextId(db)

  /** All administrators, locked in one order: of two who take the role from each other at once, the second sees the first gone. */
  const lockedAdmins = sql`select id from ${users} where role = 'admin' and status = 'active' order by id for update`
  const leavesAnAdmin = (id: number): SQL =>
    sql`(exists (select from admins where id <> ${id}) or not exists (select from admins where id = ${id}))`

  /** Runs one change and its event; undefined when it touched no row. `first` are CTEs that go before it. */
  const change = async (
    statement: SQL,
    event: NewEvent,
    changed: readonly string[],
    first: SQL = sql``,
  ): Promise<User | undefined> => {
    const [row] = await db.run<UserRow>(sql`
      with ${first} changed as (${statement} returning *),
      event as (${appendEvent(outbox, event, sql`changed`, sql`${JSON.stringify({ fields: changed })}::jsonb`)})
      select ${fields} from changed`)
    return row && opened(row)
  }

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

    page: async ({ limit, after }: PageRequest): Promise<User[]> => {
      const rows = await db.run<UserRow>(sql`
        select ${fields} from ${users}
         where status <> 'erased'
           and ${after ? sql`(created_at, id) < (${after.at}::timestamptz, ${after.id}::int)` : sql`true`}
         order by created_at desc, id desc limit ${limit + 1}`)
      return rows.map(opened)
    },

    /** Undefined when the address is taken: the index decides, so two at once cannot both win. */
    insert: async (user: NewUser, event: NewEvent): Promise<User | undefined> => {
      const id = await nextId()
      return change(insertUser(data, id, user), event, newUserFields)
    },

    /** @returns the user, undefined when there is none, 'taken' when the address is another's, 'last' for the last administrator */
    update: async (id: number, changes: UserChanges, event: NewEvent): Promise<User | undefined | 'taken' | 'last'> => {
      const resigns = changes.role !== undefined && changes.role !== 'admin'
      for (;;) {
        const [row] = await db.run<UserRow & { taken: boolean; last: boolean }>(sql`
          select ${fields}, exists (${plainAddress(changes.email ?? '', id)}) as taken,
                 role = 'admin' and not exists (
                   select from ${users} other where other.role = 'admin' and other.status = 'active' and other.id <> ${id}) as last
            from ${users} where id = ${id} and status <> 'erased'`)
        if (!row) return undefined
        if (row.taken) return 'taken'
        if (resigns && row.last) return 'last'
        if (!isSealed(row)) {
          await seal([row])
          continue
        }
        const { role, locale, ...personal } = changes
        const sets = [
          sql`version = version + 1`,
          ...(Object.keys(personal).length > 0 ? [sql`personal = ${data.reseal(row, { ...data.open(row), ...personal })}`] : []),
          ...(personal.email === undefined ? [] : [sql`email_lookup = ${data.lookup(personal.email)}`]),
          ...(locale === undefined ? [] : [sql`locale = ${locale}`]),
          // Whoever is signed in signs in with the old role no more.
          ...(role === undefined
            ? []
            : [sql`role = ${role}, session_version = session_version + case when role = ${role} then 0 else 1 end`]),
        ]
        try {
          const changed = await change(
            // Of the version that was read: another change meanwhile must not be lost.
            sql`update ${users} set ${sql.join(sets, sql`, `)} where id = ${id} and version = ${row.version} and status <> 'erased'
              and ${resigns ? leavesAnAdmin(id) : sql`true`}`,
            event,
            Object.keys(changes),
            resigns ? sql`admins as materialized (${lockedAdmins}),` : undefined,
          )
          if (changed) return changed
        } catch (error) {
          if (isTaken(error)) return 'taken'
          throw error
        }
      }
    },

    /**
     * Erases the person: the data key goes, and what it encrypted with it; id and role stay. Answers who it was; undefined
     * when there is nobody, or it is the last administrator.
     */
    erase: async (id: number, event: NewEvent): Promise<User | undefined> => {
      const [row] = await db.run<UserRow>(sql`
        with admins as materialized (${lockedAdmins}), before as (
          select ${fields}, email_lookup from ${users}
           where id = ${id} and status <> 'erased' and ${leavesAnAdmin(id)} for update
        ), changed as (
          update ${users} as u
             set personal = null, data_key = null, ring_key = null, email_lookup = null, name = null, email = null, phone = null, status = 'erased', erased_at = now(),
                 version = u.version + 1, session_version = u.session_version + 1
            from before where u.id = before.id returning u.id, u.version
        ), event as (${appendEvent(outbox, event, sql`changed`, sql`'{"fields": []}'::jsonb`)}),
        no_password as (delete from ${credentials} using before where user_id = before.id),
        no_tokens as (delete from ${refreshTokens} using before where user_id = before.id),
        no_mail_tokens as (delete from ${mailTokens} using before where user_id = before.id),
        no_factor as (delete from ${secondFactors} using before where user_id = before.id),
        no_codes as (delete from ${recoveryCodes} using before where user_id = before.id),
        no_attempts as (delete from ${signInAttempts} using before where key = before.email_lookup)
        select ${fields} from before`)
      return row && opened(row)
    },

    /** Users with their ids, into an empty table only; later ids go on from there. */
    seed: async (rows: readonly User[]): Promise<void> => {
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

    /** What sign-ins of these users are worth now. */
    sessions: readByIds<StoredSession>((ids) => selectSessions({ ids: arrayLiteral(ids) })),
  }
}
