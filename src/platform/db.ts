import { BulkheadRejectedError, bulkhead } from 'cockatiel'
import { DrizzleQueryError, type SQL, sql } from 'drizzle-orm'
import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { fail } from './errors.ts'

/** One pool of connections to one database. Single statements only: see docs/adr/0002. */
export interface Database {
  /** A statement or a read by drizzle's builder; waits for a connection, then runs. */
  use<T>(query: (orm: PostgresJsDatabase) => PromiseLike<T>): Promise<T>
  /** One raw statement; answers its rows. int8 comes as a number, timestamps as ISO 8601 in UTC. */
  run<T extends object>(statement: SQL): Promise<T[]>
  ping(): Promise<void>
  close(): Promise<void>
}

export interface DatabaseOptions {
  readonly url: string
  /** Connections at the most. */
  readonly max: number
  readonly statementTimeoutMs: number
  readonly applicationName: string
  /** Seconds that a statement waited for a connection. */
  readonly onWait?: (seconds: number) => void
}

const connectionLost =
  /^(CONNECTION_|CONNECT_TIMEOUT|ECONN|EPIPE|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|08|57P0|53[0-9A-Z]{3}$)/

/** What a driver's error means to a caller: away, too slow, or as it is. */
const translate = (error: unknown): unknown => {
  const cause = error instanceof DrizzleQueryError ? error.cause : error // Drizzle's message holds the parameters: personal data.
  const code = (cause as { code?: unknown } | undefined)?.code
  if (typeof code !== 'string') return cause
  if (connectionLost.test(code)) return fail('database.unavailable', {}, cause)
  if (code === '57014' || code === '55P03') return fail('database.busy', {}, cause)
  return cause
}

/** The name of the unique constraint that an error is about, or undefined. */
export const violatedConstraint = (error: unknown): string | undefined =>
  error instanceof postgres.PostgresError && error.code === '23505' ? error.constraint_name : undefined

/** A parameter of an integer or uuid array type: one prepared statement for any length. */
export const arrayLiteral = (values: readonly (number | string)[]): string => `{${values.join(',')}}`

const isoTimestamp = (text: string): string => new Date(text).toISOString().replace('.000Z', 'Z')

export const createDatabase = ({ url, max, statementTimeoutMs, applicationName, onWait }: DatabaseOptions): Database => {
  const client = postgres(url, {
    max,
    fetch_types: false,
    connect_timeout: 5,
    idle_timeout: 60,
    backoff: (attempt) => Math.min(2 ** attempt / 50, 1),
    onnotice: () => {},
    connection: { application_name: applicationName, statement_timeout: statementTimeoutMs, TimeZone: 'UTC' },
    types: { int8: { to: 20, from: [20], parse: Number, serialize: String } },
  })
  const unsafe = client.unsafe
  // Drizzle leaves statements unprepared, which costs a round trip and a plan each time.
  client.unsafe = ((text: string, parameters?: never[], options?: object) =>
    unsafe(text, parameters, { ...options, prepare: true })) as typeof unsafe
  const orm = drizzle(client)
  client.options.parsers[1184] = isoTimestamp

  // Waiting happens here and not in the driver: it can be measured, and it has an end.
  const gate = bulkhead(max, max * 50)
  const use: Database['use'] = async (query) => {
    const asked = performance.now()
    try {
      return await gate.execute(() => {
        onWait?.((performance.now() - asked) / 1000)
        return query(orm)
      })
    } catch (error) {
      if (error instanceof BulkheadRejectedError) throw fail('database.busy')
      throw translate(error)
    }
  }
  const run: Database['run'] = async <T extends object>(statement: SQL) => [
    ...((await use((db) => db.execute(statement))) as unknown as T[]),
  ]
  return {
    use,
    run,
    ping: async () => {
      await run(sql`select 1`)
    },
    close: () => client.end({ timeout: 5 }),
  }
}
