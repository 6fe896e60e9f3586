import { type TSchema, Type } from 'typebox'
import { fail } from './errors.ts'
import { maxId } from './schema.ts'

/** The last row of a page in its total order, newest first (keyset pagination). */
export interface Position {
  /** created_at: ISO 8601 with milliseconds. */
  readonly at: string
  readonly id: number
}

export interface PageRequest {
  readonly limit: number
  readonly after: Position | undefined
}

export interface Page<T> {
  readonly items: T[]
  readonly next?: string
}

/** The query of every list. */
export const pageQuery = {
  limit: Type.Integer({ minimum: 1, maximum: 100, default: 20 }),
  cursor: Type.Optional(Type.String({ maxLength: 200 })),
} satisfies Record<string, TSchema>

export const encodeCursor = ({ at, id }: Position): string => Buffer.from(`${at} ${id}`).toString('base64url')

/** A valid time in the format of our responses; PostgreSQL has no year 0000. */
const isTimestamp = (text: string): boolean =>
  /^(?!0000)\d{4}-/.test(text) && Number.isFinite(Date.parse(text)) && new Date(text).toISOString().replace('.000Z', 'Z') === text

/** `largest` is the list's largest id. @throws Failure request.invalid_cursor */
export const decodeCursor = (cursor: string, largest = maxId): Position => {
  const [at, id] = Buffer.from(cursor, 'base64url').toString('utf8').split(' ')
  const position = { at: at ?? '', id: Number(id) }
  // Encoding it again gives the same text: one form of each number, and nothing behind it.
  const inRange = Number.isSafeInteger(position.id) && position.id >= 0 && position.id <= largest
  if (!isTimestamp(position.at) || !inRange || encodeCursor(position) !== cursor) throw fail('request.invalid_cursor')
  return position
}

export const pageRequest = ({ limit, cursor }: { limit: number; cursor?: string }, largest = maxId): PageRequest => ({
  limit,
  after: cursor === undefined ? undefined : decodeCursor(cursor, largest),
})

/** Builds a page of `limit` from up to `limit + 1` rows: the extra one shows that there are more. */
export const pageOf = <T>(rows: readonly T[], limit: number, position: (row: T) => Position): Page<T> => {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return rows.length > limit && last !== undefined ? { items, next: encodeCursor(position(last)) } : { items }
}
