import { type SQL, sql } from 'drizzle-orm'
import type { Database } from '../../platform/db/database.ts'
import type { EventOf } from '../../platform/events/event.ts'
import { appendEvent } from '../../platform/events/outbox-repository.ts'
import type { User, userContract } from './contract.ts'
import type { Personal, PersonalData, Sealed } from './personal-data.ts'
import { outbox, users } from './tables.ts'

/** An event of this module with all of its data. */
export type UserEvent<T extends keyof (typeof userContract)['events']> = EventOf<typeof userContract, T>

/** The fields of a user that a writer supplies. */
export type WrittenUser = Omit<User, 'id' | 'email_confirmed' | 'phone_confirmed' | 'created_at'>
export type NewUser = WrittenUser & {
  readonly status?: 'active' | 'unverified'
  /** False for people who enter their own address and phone. */
  readonly confirmed?: boolean
}

export interface Common extends Pick<User, 'role' | 'locale' | 'created_at'> {
  readonly version: number
  readonly status: 'active' | 'unverified' | 'erased'
  readonly email_confirmed_at: string | null
  readonly phone_confirmed_at: string | null
  readonly pending_email: Buffer | null
}

export interface SealedRow extends Common, Sealed {
  readonly email: null
}

/** Plain text of the first release. */
interface PlainRow extends Common, Personal {
  readonly id: number
  readonly personal: null
}

/** A user's row as a statement reads it with `rowColumns`. */
export type UserRow = SealedRow | PlainRow

const columns = [
  ...['id', 'personal', 'data_key', 'ring_key', 'role', 'locale', 'version', 'created_at', 'name', 'email', 'phone'],
  ...['status', 'email_confirmed_at', 'phone_confirmed_at', 'pending_email'],
]

/** Of the table itself, or of its `alias` in the statement. */
export const rowColumns = (alias?: string): SQL =>
  sql.raw(columns.map((column) => (alias === undefined ? column : `${alias}.${column}`)).join(', '))

export const isSealed = (row: UserRow): row is SealedRow => row.personal !== null

/** The previous version writes `email_confirmed_at` for accounts that it does not let sign in yet. */
export const confirmations = ({
  status,
  email_confirmed_at,
  phone_confirmed_at,
}: Pick<Common, 'status' | 'email_confirmed_at' | 'phone_confirmed_at'>): Pick<User, 'email_confirmed' | 'phone_confirmed'> => ({
  email_confirmed: status === 'active' && email_confirmed_at !== null,
  phone_confirmed: phone_confirmed_at !== null,
})

export const openRow = (data: PersonalData, row: UserRow): User => {
  const { id, role, locale, created_at } = row
  const { name, email, phone } = isSealed(row) ? data.open(row) : row
  return { id, name, email, phone, role, locale, ...confirmations(row), created_at }
}

/** Subquery for `exists`: whether another user whose data is still in plain text has the address. */
export const plainAddress = (email: string, id = 0): SQL =>
  sql`select from ${users} plain where lower(plain.email) = lower(${email}) and plain.id <> ${id}`

/** The data of a new user's event. */
export const newUserFields = ['name', 'email', 'phone', 'role', 'locale']

/** Body of a CTE: a new user's row; no row if the address is taken. */
export const insertUser = (data: PersonalData, id: number, user: NewUser): SQL => {
  const { personal, data_key, ring_key } = data.seal(id, user)
  const confirmed = user.confirmed === false ? sql`null::timestamptz` : sql`now()`
  return sql`
    insert into ${users} (id, personal, data_key, ring_key, email_lookup, role, locale, status, email_confirmed_at, phone_confirmed_at)
    select ${id}::int, ${personal}::bytea, ${data_key}::bytea, ${ring_key}, ${data.lookup(user.email)}::bytea,
           ${user.role}, ${user.locale}, ${user.status ?? 'active'}, ${confirmed}, ${confirmed}
     where not exists (${plainAddress(user.email)})
    on conflict do nothing`
}

/** The next user's id, before their row exists: the encryption is bound to it. An unused id is a harmless gap. */
export const createNextId = (db: Database): (() => Promise<number>) => {
  const next = db.prepare<{ id: number }>(sql`select nextval(pg_get_serial_sequence('users.users', 'id'))::int as id`)
  return async () => (await next({}))[0]?.id as number
}

/**
 * All administrators, locked in one order: of two who remove each other's role at once, the second sees the first one's change.
 */
export const lockedAdmins = sql`select id from ${users} where role = 'admin' and status = 'active' order by id for update`
export const leavesAnAdmin = (id: number): SQL =>
  sql`(exists (select from admins where id <> ${id}) or not exists (select from admins where id = ${id}))`

/** `email_taken`: the address is somebody else's. */
export type Created = { readonly outcome: 'created'; readonly user: User } | { readonly outcome: 'email_taken' }

export type Change = ReturnType<typeof createChange>

/**
 * Runs one change and its event. Returns the changed row, if there is one. `first` are CTEs before it, `more` are others, each after a
 * comma.
 */
export const createChange =
  (db: Database, data: PersonalData) =>
  async (
    statement: SQL,
    event: UserEvent<'user.created' | 'user.updated'>,
    { first = sql``, more = sql`` }: { first?: SQL; more?: SQL } = {},
  ): Promise<User | undefined> => {
    const [row] = await db.write<UserRow>(sql`
    with ${first} changed as (${statement} returning *),
    event as (${appendEvent(outbox, event, sql`changed`)}) ${more}
    select ${rowColumns()} from changed`)
    return row && openRow(data, row)
  }
