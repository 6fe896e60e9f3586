import { BulkheadRejectedError, bulkhead } from 'cockatiel'
import { DrizzleQueryError, fillPlaceholders, type SQL, sql } from 'drizzle-orm'
import { PgDialect } from 'drizzle-orm/pg-core'
import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { Failure, fail } from './errors.ts'

/** One pool of connections to one database. Single statements only: see docs/adr/0002. */
export interface Database {
  /** A statement or a read by drizzle's builder; waits for a connection, then runs. */
  use<T>(query: (orm: PostgresJsDatabase) => PromiseLike<T>): Promise<T>
  /** One raw statement; answers its rows. int8 comes as a number, timestamps as ISO 8601 in UTC. */
  run<T extends object>(statement: SQL): Promise<T[]>
  /** A statement whose text is made once, for what every request asks; its values come by the names of its placeholders. */
  prepare<T extends object>(statement: SQL): (values: Readonly<Record<string, unknown>>) => Promise<T[]>
  ping(): Promise<void>
  close(): Promise<void>
}

export interface DatabaseOptions {
  readonly url: string
  /** Connections at the most. */
  readonly max: number
  readonly statementTimeoutMs: number
  readonly applicationName: string
  /** Whose rights statements have, from the first one on: a role that the login is a member of; otherwise the login's own. */
  readonly role?: string | undefined
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

/** PostgreSQL's text in UTC, as in 2025-01-01 10:00:00.5+00, in the form of RFC 3339. */
const isoTimestamp = (text: string): string => {
  const [seconds = '', fraction] = text.slice(0, -3).split('.')
  return `${seconds.replace(' ', 'T')}${fraction ? `.${fraction.padEnd(3, '0')}` : ''}Z`
}

/** One connection, which opens when it is first used. */
const connect = ({ url, statementTimeoutMs, applicationName, role }: DatabaseOptions) => {
  const client = postgres(url, {
    max: 1,
    fetch_types: false,
    connect_timeout: 5,
    idle_timeout: 60,
    onnotice: () => {},
    connection: {
      application_name: applicationName,
      statement_timeout: statementTimeoutMs,
      TimeZone: 'UTC',
      ...(role ? { role } : {}),
    },
    types: { int8: { to: 20, from: [20], parse: Number, serialize: String } },
  })
  const unsafe = client.unsafe
  // Drizzle leaves statements unprepared, which costs a round trip and a plan each time.
  client.unsafe = ((text: string, parameters?: never[], options?: object) =>
    unsafe(text, parameters, { ...options, prepare: true })) as typeof unsafe
  const orm = drizzle(client)
  client.options.parsers[1184] = isoTimestamp
  return { client, orm, close: (seconds: number) => client.end({ timeout: seconds }).catch(() => {}) }
}

type Connection = ReturnType<typeof connect>

const dialect = new PgDialect()

/** A statement's own limit, and a little for the way: the server cannot say that it does not answer. */
const graceMs = 1000

export const createDatabase = (options: DatabaseOptions): Database => {
  const { max, statementTimeoutMs, onWait } = options
  const all = new Set<Connection>()
  const idle: Connection[] = []
  let closed = false

  const take = (): Connection => {
    if (closed) throw fail('database.unavailable')
    const connection = idle.pop() ?? connect(options)
    all.add(connection)
    return connection
  }

  const answerOf = async <T>(answer: PromiseLike<T>): Promise<T> => {
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => late.reject(fail('database.unavailable')), statementTimeoutMs + graceMs)
    return Promise.race([answer, late.promise]).finally(() => clearTimeout(timer))
  }

  // Waiting happens here and not in the driver: it can be measured, and it has an end. So does the choice of a connection:
  // the driver's own pool (3.4.9) goes on with lost ones, some of which never answer again. See porsager/postgres#1193.
  const gate = bulkhead(max, max * 50)
  const withConnection = async <T>(query: (connection: Connection) => PromiseLike<T>): Promise<T> => {
    const asked = performance.now()
    try {
      return await gate.execute(async () => {
        onWait?.((performance.now() - asked) / 1000)
        const connection = take()
        try {
          const answer = await answerOf(query(connection))
          idle.push(connection)
          return answer
        } catch (error) {
          const known = translate(error)
          if (known instanceof Failure && known.code === 'database.unavailable') {
            all.delete(connection)
            void connection.close(0)
          } else idle.push(connection)
          throw known
        }
      })
    } catch (error) {
      throw error instanceof BulkheadRejectedError ? fail('database.busy') : error
    }
  }
  const prepare: Database['prepare'] = <T extends object>(statement: SQL) => {
    const { sql: text, params } = dialect.sqlToQuery(statement)
    return async (values) => [
      ...(await withConnection(({ client }) => client.unsafe<T[]>(text, fillPlaceholders(params, values) as never[]))),
    ]
  }
  const run: Database['run'] = <T extends object>(statement: SQL) => prepare<T>(statement)({})
  return {
    prepare,
    use: (query) => withConnection(({ orm }) => query(orm)),
    run,
    ping: async () => {
      await run(sql`select 1`)
    },
    close: async () => {
      closed = true
      await Promise.all([...all].map((connection) => connection.close(5)))
    },
  }
}
