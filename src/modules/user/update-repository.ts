import { setTimeout } from 'node:timers/promises'
import { type SQL, sql } from 'drizzle-orm'
import { createOneByOne } from '../../platform/concurrency/one-by-one.ts'
import { type Database, violatedConstraint } from '../../platform/db/database.ts'
import { allOf } from '../../platform/db/page.sql.ts'
import { type EventContext, newEvent } from '../../platform/events/event.ts'
import { appendEvent } from '../../platform/events/outbox-repository.ts'
import { type User, userContract } from './contract.ts'
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

/** How much proof the caller has given for this person. */
export interface Changer {
  /** A new address or phone needs no confirmation: an administrator or a program declares it confirmed. */
  readonly vouched: boolean
  /** The person, after step-up authentication. */
  readonly reauthenticated: boolean
}

/** Maximum changes of one user that wait in this process. */
const waitingChanges = 500
/** Attempts at one change: another process may change the same user between our read and our write. */
const changeTries = 8
/** Pause before the second attempt, doubled each time, so that processes do not stay in step. */
const firstPauseMs = 4

export type Updated =
  | { readonly outcome: 'updated'; readonly user: User }
  | { readonly outcome: 'not_found' }
  /** Another user has the address. */
  | { readonly outcome: 'email_taken' }
  | { readonly outcome: 'last_admin' }
  /** A new address or phone without step-up authentication. */
  | { readonly outcome: 'unproven' }
  /** A new address or phone while the person's address is not confirmed. */
  | { readonly outcome: 'unconfirmed' }
  /** Other processes were faster each time. */
  | { readonly outcome: 'contended' }

/** Part of a change: columns to set, CTEs (each after a comma), and its name in the event. */
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

  /** Active at once, and the old address is notified, unless it was never confirmed. */
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
          ? askForMail(
              newEvent(userContract, 'user.email_changed', context),
              'email_changed',
              sql`changed`,
              data.sealAddress(row, was.email),
            )
          : sql`confirmed as (${appendEvent(outbox, newEvent(userContract, 'user.email_confirmed', context), sql`changed`)})`,
      ),
    }
  }

  /** Waits for its mailed token; earlier ones become void. */
  const pendingAddress = (row: SealedRow, email: string, context: EventContext): Part => {
    const sealed = data.sealAddress(row, email)
    const asked = askForMail(newEvent(userContract, 'user.email_change_requested', context), 'email_change', sql`changed`, sealed)
    return { field: 'pending_email', sets: [sql`pending_email = ${sealed}`], more: more(voidMails(sql`changed`), asked) }
  }

  const addressPart = (row: SealedRow, was: Personal, email: string, by: Changer, context: EventContext): Part => {
    // An administrator can declare an unconfirmed address as confirmed.
    const counts = by.vouched && (email !== was.email || !confirmations(row).email_confirmed)
    if (counts) return vouchedAddress(row, was, email, context)
    if (email !== was.email) return pendingAddress(row, email, context)
    // A request for the current address cancels a pending one.
    return row.pending_email === null
      ? { field: 'email', sets: [] }
      : { field: 'pending_email', sets: [sql`pending_email = null`], more: more(voidMails(sql`changed`)) }
  }

  const partsOf = (row: SealedRow, was: Personal, changes: UserChanges, by: Changer, context: EventContext): Part[] => {
    const { name, email, phone, role, locale } = changes
    const parts: Part[] = []
    if (name !== undefined) parts.push({ field: 'name', sets: [] })
    if (email !== undefined) parts.push(addressPart(row, was, email, by, context))
    // The event makes the notification module notify the person.
    if (phone !== undefined && (phone !== was.phone || (by.vouched && row.phone_confirmed_at === null)))
      parts.push({ field: 'phone', sets: [sql`phone_confirmed_at = ${by.vouched ? sql`now()` : sql`null`}`] })
    // Sessions with the old role end.
    if (role !== undefined) parts.push({ field: 'role', endsSessions: role !== row.role, sets: [sql`role = ${role}`] })
    if (locale !== undefined) parts.push({ field: 'locale', sets: [sql`locale = ${locale}`] })
    return parts
  }

  /** One attempt, for the version that was read: `contended` if the row was changed or encrypted meanwhile. */
  const tryUpdate = async (id: number, changes: UserChanges, by: Changer, context: EventContext): Promise<Updated> => {
    const { name, email, phone, role } = changes
    const resigns = role !== undefined && role !== 'admin'
    const [row] = await db.run<UserRow & { taken: boolean; last: boolean }>(sql`
      select ${rowColumns()}, exists (${plainAddress(email ?? '', id)})
               or exists (select from ${users} other where other.email_lookup = ${data.lookup(email ?? '')} and other.id <> ${id}) as taken,
             role = 'admin' and not exists (
               select from ${users} other where other.role = 'admin' and other.status = 'active' and other.id <> ${id}) as last
        from ${users} where id = ${id} and status <> 'erased'`)
    if (!row) return { outcome: 'not_found' }
    if (!isSealed(row)) {
      await seal([row])
      return { outcome: 'contended' }
    }
    const was = data.open(row)
    const reaches = (email !== undefined && email !== was.email) || (phone !== undefined && phone !== was.phone)
    if (reaches && !by.vouched && !by.reauthenticated) return { outcome: 'unproven' }
    if (reaches && !by.vouched && !confirmations(row).email_confirmed) return { outcome: 'unconfirmed' }
    if (row.taken) return { outcome: 'email_taken' }
    if (resigns && row.last) return { outcome: 'last_admin' }

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
        // Only the version that was read: a concurrent change must not be lost.
        sql`update ${users} set ${sql.join(sets, sql`, `)} where ${allOf([
          sql`id = ${id} and version = ${row.version} and status <> 'erased'`,
          resigns && leavesAnAdmin(id),
        ])}`,
        newEvent(userContract, 'user.updated', context, { fields: parts.map(({ field }) => field) }),
        {
          first: resigns ? sql`admins as materialized (${lockedAdmins}),` : sql``,
          more: sql.join(
            parts.map((part) => part.more ?? sql``),
            sql``,
          ),
        },
      )
      return changed ? { outcome: 'updated', user: changed } : { outcome: 'contended' }
    } catch (error) {
      if (violatedConstraint(error) === 'users_email_lookup') return { outcome: 'email_taken' }
      throw error
    }
  }

  /**
   * Changes of one user run one after the other in this process.
   * @throws database.busy when too many wait for this user, or `deadline` (epoch milliseconds) has passed
   */
  return (id: number, changes: UserChanges, by: Changer, context: EventContext, deadline: number): Promise<Updated> =>
    inTurn(id, deadline, async () => {
      for (let attempt = 0; attempt < changeTries; attempt++) {
        if (attempt > 0) await setTimeout(Math.random() * firstPauseMs * 2 ** attempt)
        const result = await tryUpdate(id, changes, by, context)
        if (result.outcome !== 'contended') return result
      }
      return { outcome: 'contended' }
    })
}
