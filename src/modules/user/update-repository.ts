import { setTimeout } from 'node:timers/promises'
import { type SQL, sql } from 'drizzle-orm'
import { createOneByOne } from '../../platform/concurrency/one-by-one.ts'
import { type Database, violatedConstraint } from '../../platform/db/database.ts'
import { type EventContext, newEvent } from '../../platform/events/event.ts'
import { appendEvent } from '../../platform/events/outbox-repository.ts'
import type { User } from './contract.ts'
import type { Personal, PersonalData } from './personal-data.ts'
import { sealRows } from './privacy/encryption-maintenance-repository.ts'
import { askForMail, voidMails } from './sign-in/mail-requests-repository.ts'
import { outbox, refreshTokens, users } from './tables.ts'
import {
  type Change,
  confirmations,
  isSealed,
  leavesAnAdmin,
  lockedAdmins,
  plainAddress,
  rowColumns,
  type SealedRow,
  type UserRow,
  type WrittenUser,
} from './user-row.sql.ts'

export type UserChanges = Partial<WrittenUser>

/** How far the one who changes a person is believed. */
export interface Changer {
  /** A new address or phone needs no proof: an administrator or a program says that it is theirs. */
  readonly vouched: boolean
  /** The person themselves, who has just proven who they are. */
  readonly reauthenticated: boolean
}

/** Changes of one user that wait for those before them in this process. */
const waitingChanges = 500
/** Tries of one change: another process may change the same user between our reading and our writing. */
const changeTries = 8
/** Before the second try, doubled with each: so that processes do not stay in step. */
const firstPauseMs = 4

type Updated = User | undefined | 'taken' | 'last' | 'contended' | 'unproven' | 'unconfirmed'

/** A part of a change: columns to set, CTEs after a comma each, what the event calls it. */
interface Part {
  readonly sets: readonly SQL[]
  readonly more?: SQL
  readonly endsSessions?: boolean
  readonly field: string
}

const more = (...ctes: readonly SQL[]): SQL =>
  sql.join(
    ctes.map((cte) => sql`, ${cte}`),
    sql``,
  )

export const createUpdateUser = (db: Database, data: PersonalData, change: Change) => {
  const seal = sealRows(db, data)
  const inTurn = createOneByOne<number>(waitingChanges)

  /** Counts at once, and the address before is told; nobody tells an address that was never proven. */
  const vouchedAddress = (row: SealedRow, was: Personal, email: string, context: EventContext): Part => {
    const known = confirmations(row).email_confirmed
    return {
      field: 'email',
      endsSessions: true,
      sets: [
        sql`email_lookup = ${data.lookup(email)}`,
        sql`status = 'active'`,
        sql`email_confirmed_at = now()`,
        sql`pending_email = null`,
      ],
      more: more(
        voidMails(sql`changed`),
        sql`ended as (delete from ${refreshTokens} as t using changed where t.user_id = changed.id)`,
        known
          ? askForMail(newEvent('user.email_changed', context), 'email_changed', sql`changed`, data.sealAddress(row, was.email))
          : sql`confirmed as (${appendEvent(outbox, newEvent('user.email_confirmed', context), sql`changed`)})`,
      ),
    }
  }

  /** Waits until a token comes back that is mailed to it; earlier ones are void. */
  const pendingAddress = (row: SealedRow, email: string, context: EventContext): Part => {
    const sealed = data.sealAddress(row, email)
    const asked = askForMail(newEvent('user.email_change_requested', context), 'email_change', sql`changed`, sealed)
    return { field: 'pending_email', sets: [sql`pending_email = ${sealed}`], more: more(voidMails(sql`changed`), asked) }
  }

  const addressPart = (row: SealedRow, was: Personal, email: string, by: Changer, context: EventContext): Part => {
    // Of an address that nobody has confirmed an administrator can say that it is right.
    const counts = by.vouched && (email !== was.email || !confirmations(row).email_confirmed)
    if (counts) return vouchedAddress(row, was, email, context)
    if (email !== was.email) return pendingAddress(row, email, context)
    // Who asks for the address that they have wants no other any more.
    return row.pending_email === null
      ? { field: 'email', sets: [] }
      : { field: 'pending_email', sets: [sql`pending_email = null`], more: more(voidMails(sql`changed`)) }
  }

  const partsOf = (row: SealedRow, was: Personal, changes: UserChanges, by: Changer, context: EventContext): Part[] => {
    const { name, email, phone, role, locale } = changes
    const parts: Part[] = []
    if (name !== undefined) parts.push({ field: 'name', sets: [] })
    if (email !== undefined) parts.push(addressPart(row, was, email, by, context))
    // The person is told of it where the event says it.
    if (phone !== undefined && (phone !== was.phone || (by.vouched && row.phone_confirmed_at === null)))
      parts.push({ field: 'phone', sets: [sql`phone_confirmed_at = ${by.vouched ? sql`now()` : sql`null`}`] })
    // Sign-ins with the old role end.
    if (role !== undefined) parts.push({ field: 'role', endsSessions: role !== row.role, sets: [sql`role = ${role}`] })
    if (locale !== undefined) parts.push({ field: 'locale', sets: [sql`locale = ${locale}`] })
    return parts
  }

  /** One try, of the version that is read: 'contended' when the row was changed or encrypted meanwhile. */
  const tryUpdate = async (id: number, changes: UserChanges, by: Changer, context: EventContext): Promise<Updated> => {
    const { name, email, phone, role } = changes
    const resigns = role !== undefined && role !== 'admin'
    const [row] = await db.run<UserRow & { taken: boolean; last: boolean }>(sql`
      select ${rowColumns()}, exists (${plainAddress(email ?? '', id)})
               or exists (select from ${users} other where other.email_lookup = ${data.lookup(email ?? '')} and other.id <> ${id}) as taken,
             role = 'admin' and not exists (
               select from ${users} other where other.role = 'admin' and other.status = 'active' and other.id <> ${id}) as last
        from ${users} where id = ${id} and status <> 'erased'`)
    if (!row) return undefined
    if (!isSealed(row)) {
      await seal([row])
      return 'contended'
    }
    const was = data.open(row)
    const reaches = (email !== undefined && email !== was.email) || (phone !== undefined && phone !== was.phone)
    if (reaches && !by.vouched && !by.reauthenticated) return 'unproven'
    if (reaches && !by.vouched && !confirmations(row).email_confirmed) return 'unconfirmed'
    if (row.taken) return 'taken'
    if (resigns && row.last) return 'last'

    const parts = partsOf(row, was, changes, by, context)
    const personal = {
      name: name ?? was.name,
      email: by.vouched ? (email ?? was.email) : was.email,
      phone: phone === undefined ? was.phone : phone,
    }
    const sets = [
      sql`version = version + 1`,
      sql`personal = ${data.reseal(row, personal)}`,
      ...(parts.some(({ endsSessions }) => endsSessions) ? [sql`session_version = session_version + 1`] : []),
      ...parts.flatMap((part) => part.sets),
    ]
    try {
      const changed = await change(
        // Of the version that was read: another change meanwhile must not be lost.
        sql`update ${users} set ${sql.join(sets, sql`, `)} where id = ${id} and version = ${row.version} and status <> 'erased'
          and ${resigns ? leavesAnAdmin(id) : sql`true`}`,
        newEvent('user.updated', context),
        parts.map(({ field }) => field),
        {
          first: resigns ? sql`admins as materialized (${lockedAdmins}),` : sql``,
          more: sql.join(
            parts.map((part) => part.more ?? sql``),
            sql``,
          ),
        },
      )
      return changed ?? 'contended'
    } catch (error) {
      if (violatedConstraint(error) === 'users_email_lookup') return 'taken'
      throw error
    }
  }

  /**
   * Changes of one user go one after the other in this process. @returns the user, undefined when there is none, 'taken' when the
   * address is another's, 'last' for the last administrator, 'contended' when other processes were faster each time; of a new address
   * or phone 'unproven' when the person has not just proven who they are, 'unconfirmed' while their address is not confirmed.
   * @throws database.busy when too many wait for this user, or `deadline` (epoch milliseconds) has passed
   */
  return (id: number, changes: UserChanges, by: Changer, context: EventContext, deadline: number): Promise<Updated> =>
    inTurn(id, deadline, async () => {
      for (let attempt = 0; attempt < changeTries; attempt++) {
        if (attempt > 0) await setTimeout(Math.random() * firstPauseMs * 2 ** attempt)
        const result = await tryUpdate(id, changes, by, context)
        if (result !== 'contended') return result
      }
      return 'contended'
    })
}
