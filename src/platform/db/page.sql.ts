import { type SQL, type SQLWrapper, sql } from 'drizzle-orm'
import type { PageRequest } from '../page.ts'

/** A condition of a list; undefined or false if it does not apply. */
export type Condition = SQL | undefined | false

/** The conditions that apply, joined by `and`; `true` if there is none. */
export const allOf = (conditions: readonly Condition[]): SQL => {
  const applied = conditions.filter((condition): condition is SQL => Boolean(condition))
  return applied.length > 0 ? sql.join(applied, sql` and `) : sql`true`
}

/** The column has the value, if one is given. */
export const equals = (column: SQLWrapper, value: string | number | boolean | undefined): Condition =>
  value === undefined ? undefined : sql`${column} = ${value}`

interface Period {
  /** ISO 8601, inclusive. */
  readonly from?: string | undefined
  /** ISO 8601, exclusive. */
  readonly to?: string | undefined
}

/** The column's time is in the period. */
export const during = (column: SQLWrapper, { from, to }: Period): Condition[] => [
  from !== undefined && sql`${column} >= ${from}::timestamptz`,
  to !== undefined && sql`${column} < ${to}::timestamptz`,
]

export interface PageColumns {
  readonly at: SQLWrapper
  readonly id: SQLWrapper
  readonly idType?: 'int' | 'bigint'
}

/** Newest first, in a total order. Reads one row more than the page has: see `pageOf`. */
export const newestFirst = ({ limit, after }: PageRequest, { at, id, idType = 'int' }: PageColumns) => ({
  /** Keyset pagination: the index finds the first row, however far down the list it is. */
  after: after && sql`(${at}, ${id}) < (${after.at}::timestamptz, ${after.id}::${sql.raw(idType)})`,
  orderBy: sql`${at} desc, ${id} desc`,
  limit: limit + 1,
})

/** The same as the end of a statement, with the other conditions of the list. */
export const pageClauses = (page: PageRequest, columns: PageColumns, conditions: readonly Condition[] = []): SQL => {
  const { after, orderBy, limit } = newestFirst(page, columns)
  return sql`where ${allOf([after, ...conditions])} order by ${orderBy} limit ${limit}`
}
