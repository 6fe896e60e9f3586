/** The first query of a new connection: detects settings that a pooler drops, and a wrong server. */
export interface Session {
  readonly role: string
  /** Milliseconds; 0 means no limit. */
  readonly statement_timeout: number
  readonly time_zone: string
  readonly read_only: boolean
}

export interface WantedSession {
  readonly role?: string | undefined
  readonly statementTimeoutMs?: number | undefined
}

/** True for a standby, and for a demoted primary. */
export const takesNoWrites = `pg_is_in_recovery() or current_setting('transaction_read_only')::boolean`

/** One row of the type Session. */
export const sessionQuery = `
  select current_user::text as role,
         (extract(epoch from current_setting('statement_timeout')::interval) * 1000)::int as statement_timeout,
         current_setting('TimeZone') as time_zone,
         ${takesNoWrites} as read_only`

export const readOnlyReason = 'the server accepts no writes: it is a standby, or a demoted primary'

/** The difference from the required settings, in one line; undefined if there is none. */
export const sessionFault = (found: Session, { role, statementTimeoutMs }: WantedSession): string | undefined => {
  const wrong: string[] = []
  if (role !== undefined && found.role !== role) wrong.push(`statements run as ${found.role}, not as ${role}`)
  const limit = found.statement_timeout
  if (statementTimeoutMs !== undefined && (limit === 0 || limit > statementTimeoutMs))
    wrong.push(`statement_timeout is ${limit} ms, not ${statementTimeoutMs} ms`)
  if (found.time_zone !== 'UTC') wrong.push(`TimeZone is ${found.time_zone}, not UTC`)
  if (wrong.length === 0) return undefined
  return `${wrong.join('; ')}: a connection pooler drops the settings of a connection; connect without it, or set them on the login (ALTER ROLE … SET)`
}
