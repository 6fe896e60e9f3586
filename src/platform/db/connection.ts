import { DrizzleQueryError } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { isConnectionError } from '../connection-error.ts'
import { type Failure, fail } from '../errors.ts'
import { readOnlyReason, type Session, sessionFault, sessionQuery } from './session.ts'
import type { Endpoint } from './socket.ts'
import { type DatabaseAddress, postgresJsOptions } from './url.ts'

/** Maps a driver's error: unavailable, too slow, or unchanged. */
export const databaseFailure = (error: unknown): unknown => {
  const cause = error instanceof DrizzleQueryError ? error.cause : error // Drizzle's message holds the parameters: personal data.
  const code = (cause as { code?: unknown } | undefined)?.code
  if (typeof code !== 'string') return cause
  if (isConnectionError(cause)) return fail('database.unavailable', {}, cause)
  if (code === '57014' || code === '55P03') return fail('database.busy', {}, cause)
  return cause
}

/** Whether a lost connection says nothing about the others: it was closed on purpose, and its server may be fine. */
export const isBackendAlone = ({ cause }: Failure): boolean => {
  const { code } = (cause ?? {}) as { code?: string }
  return code !== undefined && code !== '25006'
}

/** PostgreSQL's text in UTC, such as 2025-01-01 10:00:00.5+00, in the form of RFC 3339. */
const isoTimestamp = (text: string): string => {
  const [seconds = '', fraction] = text.slice(0, -3).split('.')
  return `${seconds.replace(' ', 'T')}${fraction ? `.${fraction.padEnd(3, '0')}` : ''}Z`
}

/** An idle connection ends after a minute, and a busy one within an hour: the server keeps memory for it. */
const idleMs = 60_000
const lifetimeMs = 3_600_000

interface ConnectionOptions {
  readonly statementTimeoutMs: number
  readonly applicationName: string
  readonly role?: string | undefined
  readonly onRefused?: (reason: string) => void
}

/** One connection to one server. It opens at its first use, which must be its check. */
export const connect = (address: DatabaseAddress, endpoint: Endpoint, options: ConnectionOptions) => {
  const { statementTimeoutMs, applicationName, role, onRefused } = options
  let open = true
  let lastUsed = performance.now()
  const endsAt = lastUsed + lifetimeMs * (0.5 + Math.random() / 2)
  const client = postgres({
    ...postgresJsOptions(address, endpoint),
    max: 1,
    fetch_types: false,
    connect_timeout: 5,
    // This code decides when a connection ends.
    idle_timeout: 0,
    max_lifetime: 0,
    onclose: () => {
      open = false
    },
    keep_alive: 10,
    onnotice: () => {},
    connection: {
      application_name: address.applicationName ?? applicationName,
      statement_timeout: statementTimeoutMs,
      TimeZone: 'UTC',
      ...(role ? { role } : {}),
    },
    types: { int8: { to: 20, from: [20], parse: Number, serialize: String } },
  })
  const unsafe = client.unsafe
  // Drizzle sends statements unprepared, which costs a round trip and a plan each time.
  client.unsafe = ((text: string, parameters?: never[], options?: object) =>
    unsafe(text, parameters, { ...options, prepare: true })) as typeof unsafe
  const orm = drizzle(client)
  client.options.parsers[1184] = isoTimestamp

  /** @throws database.unavailable for a server that accepts no writes, or whose session settings differ from those required */
  const check = async (): Promise<void> => {
    const [session] = await unsafe<Session[]>(sessionQuery)
    if (address.writes && session?.read_only) throw refused(readOnlyReason)
    const fault = session && sessionFault(session, { role, statementTimeoutMs })
    if (fault) throw refused(fault)
  }
  const refused = (reason: string): Failure => {
    onRefused?.(reason)
    return fail('database.unavailable', {}, new Error(reason))
  }
  return {
    client,
    orm,
    endpoint,
    check,
    isOpen: () => open,
    used: () => {
      lastUsed = performance.now()
    },
    tooOld: () => {
      const now = performance.now()
      return !open || now > lastUsed + idleMs || now > endsAt
    },
    close: (seconds: number) => client.end({ timeout: seconds }).catch(() => {}),
  }
}

export type Connection = ReturnType<typeof connect>
