/** What a new connection is asked first: what a pooler on the way drops, or another server is, shows here. */
export interface Session {
  readonly role: string
  /** Milliseconds; 0 is without a limit. */
  readonly statement_timeout: number
  readonly time_zone: string
  readonly read_only: boolean
}

export interface WantedSession {
  readonly role?: string | undefined
  readonly statementTimeoutMs?: number | undefined
}

/** Of a standby, and of what was the primary. */
export const takesNoWrites = `pg_is_in_recovery() or current_setting('transaction_read_only')::boolean`

/** One row of the form of Session. */
export const sessionQuery = `
  select current_user::text as role,
         (extract(epoch from current_setting('statement_timeout')::interval) * 1000)::int as statement_timeout,
         current_setting('TimeZone') as time_zone,
         ${takesNoWrites} as read_only`

export const readOnlyReason = 'the server takes no writes: it is a standby, or was the primary'

/** What was asked for and is not so, in one line; undefined where all is. */
export const sessionFault = (found: Session, { role, statementTimeoutMs }: WantedSession): string | undefined => {
  const wrong: string[] = []
  if (role !== undefined && found.role !== role) wrong.push(`statements run as ${found.role}, not as ${role}`)
  const limit = found.statement_timeout
  if (statementTimeoutMs !== undefined && (limit === 0 || limit > statementTimeoutMs))
    wrong.push(`statement_timeout is ${limit} ms, not ${statementTimeoutMs} ms`)
  if (found.time_zone !== 'UTC') wrong.push(`TimeZone is ${found.time_zone}, not UTC`)
  if (wrong.length === 0) return undefined
  return `${wrong.join('; ')}: a pooler on the way drops what a connection asks for; connect past it, or give it to the login (ALTER ROLE … SET)`
}
