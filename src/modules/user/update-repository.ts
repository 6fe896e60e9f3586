import { setTimeout } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { type Database, violatedConstraint } from '../../platform/db.ts'
import type { NewEvent } from '../../platform/events/event.ts'
import { createOneByOne } from '../../platform/one-by-one.ts'
import type { User } from './contract.ts'
import type { PersonalData } from './personal-data.ts'
import { sealRows } from './privacy/upkeep-repository.ts'
import {
  type Change,
  isSealed,
  leavesAnAdmin,
  lockedAdmins,
  plainAddress,
  rowColumns,
  type UserRow,
  type WrittenUser,
} from './rows-repository.ts'
import { users } from './tables.ts'

export type UserChanges = Partial<WrittenUser>

/** Changes of one user that wait for those before them in this process. */
const waitingChanges = 500
/** Tries of one change: another process may change the same user between our reading and our writing. */
const changeTries = 8
/** Before the second try, doubled with each: so that processes do not stay in step. */
const firstPauseMs = 4

type Updated = User | undefined | 'taken' | 'last' | 'contended'

export const createUpdateUser = (db: Database, data: PersonalData, change: Change) => {
  const seal = sealRows(db, data)
  const inTurn = createOneByOne<number>(waitingChanges)

  /** One try, of the version that is read: 'contended' when the row was changed or encrypted meanwhile. */
  const tryUpdate = async (id: number, changes: UserChanges, vouched: boolean, event: NewEvent): Promise<Updated> => {
    const resigns = changes.role !== undefined && changes.role !== 'admin'
    const [row] = await db.run<UserRow & { taken: boolean; last: boolean }>(sql`
      select ${rowColumns()}, exists (${plainAddress(changes.email ?? '', id)}) as taken,
             role = 'admin' and not exists (
               select from ${users} other where other.role = 'admin' and other.status = 'active' and other.id <> ${id}) as last
        from ${users} where id = ${id} and status <> 'erased'`)
    if (!row) return undefined
    if (row.taken) return 'taken'
    if (resigns && row.last) return 'last'
    if (!isSealed(row)) {
      await seal([row])
      return 'contended'
    }
    const { role, locale, ...personal } = changes
    const was = data.open(row)
    const confirmed = vouched ? sql`now()` : sql`null`
    const sets = [
      sql`version = version + 1`,
      ...(Object.keys(personal).length > 0 ? [sql`personal = ${data.reseal(row, { ...was, ...personal })}`] : []),
      ...(personal.email === undefined ? [] : [sql`email_lookup = ${data.lookup(personal.email)}`]),
      ...(personal.email === undefined || !vouched ? [] : [sql`email_confirmed_at = ${confirmed}`]),
      ...(personal.phone === undefined || personal.phone === was.phone ? [] : [sql`phone_confirmed_at = ${confirmed}`]),
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
      return changed ?? 'contended'
    } catch (error) {
      if (violatedConstraint(error) === 'users_email_lookup') return 'taken'
      throw error
    }
  }

  /**
   * Changes of one user go one after the other in this process. `vouched`: a new address or phone needs no proof. @returns the user, undefined when there is none, 'taken' when the
   * address is another's, 'last' for the last administrator, 'contended' when other processes were faster each time.
   * @throws database.busy when too many wait for this user, or `deadline` (epoch milliseconds) has passed
   */
  return (id: number, changes: UserChanges, vouched: boolean, event: NewEvent, deadline: number): Promise<Updated> =>
    inTurn(id, deadline, async () => {
      for (let attempt = 0; attempt < changeTries; attempt++) {
        if (attempt > 0) await setTimeout(Math.random() * firstPauseMs * 2 ** attempt)
        const result = await tryUpdate(id, changes, vouched, event)
        if (result !== 'contended') return result
      }
      return 'contended'
    })
}
