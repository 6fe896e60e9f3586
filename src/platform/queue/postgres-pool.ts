import pg from 'pg'
import { isConnectionError } from '../connection-error.ts'
import { takesNoWrites } from '../db/session.ts'
import type { Endpoint } from '../db/socket.ts'
import { DatabaseStartError } from '../db/startup.ts'
import { createEndpoints, parseDatabaseUrl, pgOptions } from '../db/url.ts'
import type { ServerClock } from './server-clock.ts'

export interface PoolOptions {
  readonly max: number
  readonly connectMs: number
  /** Time limit of one statement on the server; the client gives up a little later. Default: no limit. */
  readonly statementMs?: number
}

/** A pool of pg, which is replaced by a new one when its connections turn out to be dead. */
export interface PostgresPool {
  connect(): Promise<pg.PoolClient>
  /** One statement on a connection of the pool. */
  query<T extends pg.QueryResultRow>(text: string, params?: readonly unknown[]): Promise<pg.QueryResult<T>>
  /** One of its connections is held for long: room for one more. */
  grow(): void
  end(): Promise<void>
}

export interface PostgresPools {
  open(options: PoolOptions, onError?: () => void): PostgresPool
  /** The regular check of a long-lived listening connection. @throws if its server is the wrong one */
  check(client: pg.ClientBase): Promise<void>
}

/** Network time: a hanging server cannot report a timeout. */
const graceMs = 1_000
const idleMs = 10_000
const checkMs = 3_000
const noAnswer = 'Query read timeout'
const hasNoTls = (error: unknown) => error instanceof Error && error.message === 'The server does not support SSL connections'

const sessionQuery = `
  select ${takesNoWrites} as read_only,
         current_setting('search_path') as search_path,
         (extract(epoch from clock_timestamp()) * 1000)::float8 as now`

interface Session {
  readonly read_only: boolean
  readonly search_path: string
  readonly now: number
}

/** Connection pools to the database of the events: each connection goes to a server that accepts writes. */
export const createPostgresPools = (url: string, schema: string, clock: ServerClock): PostgresPools => {
  const address = parseDatabaseUrl(url)
  const endpoints = createEndpoints(address)
  const withoutTls = new Set<Endpoint>()
  /** Attempts per connection: at each server, and, if TLS is only preferred, without it. */
  const ways = address.endpoints.length * (address.tls === 'prefer' ? 2 : 1)
  const wentTo = new WeakMap<pg.ClientBase, Endpoint>()
  const renewals = new Set<() => void>()
  let renewedAt = Number.NEGATIVE_INFINITY
  const openedAt = new WeakMap<pg.ClientBase, number>()

  const failed = (client: pg.ClientBase, error: unknown) => {
    const endpoint = wentTo.get(client)
    if (!endpoint) return
    // What silenced one connection also silenced the others: each would cost its time limit once more.
    if (error instanceof Error && error.message === noAnswer && (openedAt.get(client) ?? 0) > renewedAt) {
      renewedAt = performance.now()
      for (const renew of renewals) renew()
    }
    // As in libpq: prefer means TLS if the server offers it.
    if (address.tls === 'prefer' && hasNoTls(error)) withoutTls.add(endpoint)
    else if (isConnectionError(error)) endpoints.failed(endpoint)
  }

  // The pool creates its clients with a constructor, from the same options for all: so each looks up its server by itself.
  class RoutedClient extends pg.Client {
    constructor(options: pg.ClientConfig) {
      const endpoint = endpoints.current()
      super({ ...options, ...(pgOptions(address, endpoint, withoutTls.has(endpoint)) as pg.ClientConfig) })
      // Its statement reports the error; without a listener, the event would end the process.
      this.on('error', () => {})
      wentTo.set(this, endpoint)
      openedAt.set(this, performance.now())
      const connect = this.connect.bind(this) as (done: (error: Error | null) => void) => void
      const watched = (done: (error: Error | null) => void) =>
        connect((error) => {
          if (error) failed(this, error)
          done(error)
        })
      this.connect = watched as typeof this.connect
    }
  }

  const check = async (client: pg.ClientBase): Promise<void> => {
    const askedAt = Date.now()
    const { rows } = await client
      .query<Session>({ text: sessionQuery, query_timeout: checkMs } as pg.QueryConfig)
      .catch((error) => {
        failed(client, error)
        throw error
      })
    const [{ read_only, search_path, now }] = rows as [Session]
    clock.observe(now, askedAt, Date.now())
    if (search_path !== schema)
      throw new DatabaseStartError(
        `the database of events: settings failed: search_path is ${search_path}, not ${schema}: a connection pooler drops the settings of a connection; connect without it, or set REDIS_URL`,
        true,
      )
    if (!address.writes || !read_only) return
    const error = Object.assign(new Error('the server accepts no writes'), { code: '25006' })
    failed(client, error)
    throw error
  }

  const open: PostgresPools['open'] = ({ max: first, connectMs, statementMs }, onError = () => {}) => {
    // No wait for the disk: after a crash of the server, the outbox and the inboxes restore what a queue has lost.
    const settings = [`search_path=${schema}`, 'synchronous_commit=off']
    if (statementMs) settings.push(`statement_timeout=${statementMs}`)
    let max = first
    const create = () => {
      const made = new pg.Pool({
        max,
        options: settings.map((setting) => `-c ${setting}`).join(' '),
        application_name: address.applicationName ?? 'orderhub-queue',
        keepAlive: true,
        keepAliveInitialDelayMillis: 10_000,
        connectionTimeoutMillis: connectMs,
        idleTimeoutMillis: idleMs,
        ...(statementMs ? { query_timeout: statementMs + graceMs } : {}),
        Client: RoutedClient as unknown as new () => pg.ClientBase,
        onConnect: check,
      })
      made.on('error', onError)
      return made
    }
    let pool = create()
    const renew = () => {
      const old = pool
      pool = create()
      old.end().catch(() => {})
    }
    renewals.add(renew)
    const connect = async (): Promise<pg.PoolClient> => {
      for (let left = ways; left > 1; left--) {
        const client = await pool.connect().catch((error: unknown) => {
          if (isConnectionError(error) || hasNoTls(error)) return undefined
          throw error
        })
        if (client) return client
      }
      return pool.connect()
    }
    return {
      connect,
      query: async <T extends pg.QueryResultRow>(text: string, params: readonly unknown[] = []) => {
        const client = await connect()
        try {
          const result = await client.query<T>(text, [...params])
          client.release()
          return result
        } catch (error) {
          failed(client, error)
          client.release(true)
          throw error
        }
      },
      grow: () => {
        max += 1
        pool.options.max = max
      },
      end: () => {
        renewals.delete(renew)
        return pool.end()
      },
    }
  }
  return { open, check }
}
