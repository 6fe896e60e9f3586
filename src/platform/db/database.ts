import { BulkheadRejectedError, bulkhead } from 'cockatiel'
import { fillPlaceholders, type SQL } from 'drizzle-orm'
import { PgDialect } from 'drizzle-orm/pg-core'
import type { PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { withTimeout } from '../concurrency/deadline.ts'
import { singleFlight } from '../concurrency/single-flight.ts'
import { Failure, fail } from '../errors.ts'
import { type Connection, connect, databaseFailure, isBackendAlone } from './connection.ts'
import { createEndpoints, parseDatabaseUrl } from './url.ts'

/** One pool of connections to one database. Single statements only: see docs/adr/0002. */
export interface Database {
  /** A statement or a read by drizzle's builder; waits for a connection, then runs. */
  use<T>(query: (orm: PostgresJsDatabase) => PromiseLike<T>): Promise<T>
  /** One raw statement; returns its rows. int8 comes as a number, timestamps as ISO 8601 in UTC. */
  run<T extends object>(statement: SQL): Promise<T[]>
  /**
   * As `run`, for a statement that appends outbox rows. Wakes the module's relay after the commit, unless the statement changed
   * nothing: each row that it returns must be of a change with an event, or `changed` says which are (see withRelay).
   */
  write<T extends object>(statement: SQL, changed?: (row: T) => boolean): Promise<T[]>
  /** A statement whose text is built once, for frequent queries; its values come by the names of its placeholders. */
  prepare<T extends object>(statement: SQL): (values: Readonly<Record<string, unknown>>) => Promise<T[]>
  /**
   * Resolves when the database accepts writes. Has its own connection, so that it neither waits for those of statements nor takes
   * one; concurrent calls share one check.
   * @throws database.unavailable
   */
  ping(): Promise<void>
  close(): Promise<void>
}

export interface DatabaseOptions {
  readonly url: string
  /** Maximum connections. */
  readonly max: number
  readonly statementTimeoutMs: number
  readonly applicationName: string
  /** The role of all statements, of which the login is a member; default: the login itself. */
  readonly role?: string | undefined
  /** Only for reads: a server that accepts no writes is fine. */
  readonly readsOnly?: boolean
  /** Seconds that a statement waited for a connection. */
  readonly onWait?: (seconds: number) => void
  /** One line about why connections are refused although the server accepted them. */
  readonly onRefused?: (reason: string) => void
}

/** The name of the unique constraint in an error, or undefined. */
export const violatedConstraint = (error: unknown): string | undefined =>
  error instanceof postgres.PostgresError && error.code === '23505' ? error.constraint_name : undefined

/** A parameter of an integer or uuid array type: one prepared statement for any length. */
export const arrayLiteral = (values: readonly (number | string)[]): string => `{${values.join(',')}}`

const dialect = new PgDialect()

/** The statement's own limit plus the network's time: a server that hangs cannot report a timeout. */
const graceMs = 1000

const pruneEveryMs = 10_000
/** For a check whether the database accepts writes: it reads no table. */
const lookMs = 2_000

const away = (error: unknown): Failure => {
  const known = databaseFailure(error)
  return known instanceof Failure ? known : fail('database.unavailable', {}, known)
}

export const createDatabase = (options: DatabaseOptions): Database => {
  const { max, statementTimeoutMs, onWait } = options
  const parsed = parseDatabaseUrl(options.url)
  const address = options.readsOnly ? { ...parsed, writes: false } : parsed
  const endpoints = createEndpoints(address)
  const all = new Set<Connection>()
  const idle: Connection[] = []
  let closed = false
  const pruning = setInterval(() => {
    for (const connection of idle.splice(0)) {
      if (connection.tooOld()) discard(connection)
      else idle.push(connection)
    }
  }, pruneEveryMs).unref()

  const answerOf = <T>(answer: PromiseLike<T>, limitMs = statementTimeoutMs + graceMs): Promise<T> =>
    withTimeout(limitMs, answer, () => fail('database.unavailable'))
  const discard = (connection: Connection) => {
    all.delete(connection)
    void connection.close(0)
  }
  /** The server of this connection is lost, or accepts no writes any more: drop its idle connections. */
  const leave = (lost: Connection) => {
    discard(lost)
    endpoints.failed(lost.endpoint)
    for (const other of idle.splice(0)) {
      if (other.endpoint === lost.endpoint) discard(other)
      else idle.push(other)
    }
  }

  const openOne = async (): Promise<Connection> => {
    const connection = connect(address, endpoints.current(), options)
    all.add(connection)
    try {
      await answerOf(connection.check())
      return connection
    } catch (error) {
      leave(connection)
      throw away(error)
    }
  }
  const open = async (): Promise<Connection> => {
    for (let tries = address.endpoints.length; tries > 1; tries--) {
      const connection = await openOne().catch(() => undefined)
      if (connection) return connection
    }
    return openOne()
  }
  const take = async (): Promise<Connection> => {
    if (closed) throw fail('database.unavailable')
    for (let known = idle.pop(); known; known = idle.pop()) {
      if (known.isOpen()) return known
      discard(known)
    }
    return open()
  }
  const giveBack = (connection: Connection) => {
    connection.used()
    idle.push(connection)
  }

  // Waiting happens here and not in the driver, so it can be measured and has a limit. So does the choice of a connection: the
  // driver's own pool (3.4.9) keeps using lost ones, some of which never respond again. See porsager/postgres#1193.
  const gate = bulkhead(max, max * 50)
  const withConnection = async <T>(query: (connection: Connection) => PromiseLike<T>): Promise<T> => {
    const asked = performance.now()
    try {
      return await gate.execute(async () => {
        onWait?.((performance.now() - asked) / 1000)
        const connection = await take()
        try {
          const answer = await answerOf(query(connection))
          giveBack(connection)
          return answer
        } catch (error) {
          const known = databaseFailure(error)
          if (!(known instanceof Failure) || known.code !== 'database.unavailable') giveBack(connection)
          else if (isBackendAlone(known)) discard(connection)
          else leave(connection)
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
  let watching: Connection | undefined
  const ping = async () => {
    if (closed) throw fail('database.unavailable')
    const connection = watching
    if (!connection?.isOpen()) {
      if (connection) discard(connection)
      watching = undefined
      watching = await open()
      return
    }
    try {
      await answerOf(connection.check(), lookMs)
    } catch (error) {
      watching = undefined
      leave(connection)
      throw away(error)
    }
  }
  const run: Database['run'] = <T extends object>(statement: SQL) => prepare<T>(statement)({})
  return {
    prepare,
    use: (query) => withConnection(({ orm }) => query(orm)),
    run,
    write: run,
    ping: singleFlight(ping),
    close: async () => {
      closed = true
      clearInterval(pruning)
      await Promise.all([...all].map((connection) => connection.close(5)))
    },
  }
}
