import { getTableColumns, type SQL, sql } from 'drizzle-orm'
import { readByIds } from '../../platform/coalesce.ts'
import { arrayLiteral, type Database, violatedConstraint } from '../../platform/db.ts'
import type { NewEvent } from '../../platform/events/event.ts'
import { appendEvent } from '../../platform/events/repository.ts'
import type { PageRequest } from '../../platform/page.ts'
import type { User } from './contract.ts'
import { outbox, users } from './tables.ts'

export type NewUser = Omit<User, 'id' | 'created_at'>
export type UserChanges = Partial<NewUser>
export type UserRepository = ReturnType<typeof createUserRepository>

const { version: _, ...columns } = getTableColumns(users)
const fields = sql.raw(Object.keys(columns).join(', '))

export const createUserRepository = (db: Database) => {
  /** Runs one change and its event; undefined when it touched no row or the address is another's. */
  const change = async (statement: SQL, event: NewEvent, changed: readonly string[]): Promise<User | undefined> => {
    const [row] = await db.run<User>(sql`
      with changed as (${statement} returning *),
      event as (${appendEvent(outbox, event, sql`changed`, sql`${JSON.stringify({ fields: changed })}::jsonb`)})
      select ${fields} from changed`)
    return row
  }

  const selectByIds = db.prepare<User>(sql`select ${fields} from ${users} where id = any (${sql.placeholder('ids')}::int[])`)

  return {
    byIds: readByIds<User>((ids) => selectByIds({ ids: arrayLiteral(ids) })),

    page: ({ limit, after }: PageRequest): Promise<User[]> =>
      db.use((orm) =>
        orm
          .select(columns)
          .from(users)
          .where(after ? sql`(${users.created_at}, ${users.id}) < (${after.at}::timestamptz, ${after.id}::int)` : undefined)
          .orderBy(sql`${users.created_at} desc, ${users.id} desc`)
          .limit(limit + 1),
      ),

    /** Undefined when the address is taken: the index decides, so two at once cannot both win. */
    insert: (user: NewUser, event: NewEvent): Promise<User | undefined> =>
      change(
        sql`insert into ${users} (name, email, phone, role, locale)
            values (${user.name}, ${user.email}, ${user.phone}, ${user.role}, ${user.locale}) on conflict do nothing`,
        event,
        Object.keys(user),
      ),

    /** @returns the user, undefined when there is none, 'taken' when the address is another's */
    update: async (id: number, changes: UserChanges, event: NewEvent): Promise<User | undefined | 'taken'> => {
      const sets = Object.entries(changes).map(([column, value]) => sql`${sql.identifier(column)} = ${value}`)
      try {
        return await change(
          sql`update ${users} set ${sql.join([...sets, sql`version = version + 1`], sql`, `)} where id = ${id}`,
          event,
          Object.keys(changes),
        )
      } catch (error) {
        if (violatedConstraint(error) === 'users_email') return 'taken'
        throw error
      }
    },

    remove: (id: number, event: NewEvent): Promise<User | undefined> =>
      change(sql`delete from ${users} where id = ${id}`, event, []),

    /** Users with their ids, into an empty table only; later ids go on from there. */
    seed: async (rows: readonly User[]): Promise<void> => {
      await db.run(sql`
        with seeded as (
          insert into ${users} (${fields})
          select ${fields} from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
              as r(id int, name text, email text, phone text, role text, locale text, created_at timestamptz)
           where not exists (select from ${users})
          returning id
        )
        select setval(pg_get_serial_sequence('users.users', 'id'), max(id)) from seeded having count(*) > 0`)
    },
  }
}
