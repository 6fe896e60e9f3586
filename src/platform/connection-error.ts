/** Node.js, undici and postgres.js: no connection was established, so nothing was sent. */
const notConnected = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|(UND_ERR_)?CONNECT_TIMEOUT)$/
const broken = /^(ECONNRESET|ECONNABORTED|EPIPE|ETIMEDOUT|CONNECTION_[A-Z_]+)$/
/**
 * PostgreSQL (appendix A): the connection broke (class 08), the server stops or starts (57P0x), is full (class 53), or no longer
 * accepts writes (25006). 25P02 is about a transaction, and we have none: a pooler gave us another client's connection.
 */
const unusableServer = /^(08[0-9A-Z]{3}|57P0[0-9A-Z]|53[0-9A-Z]{3}|25006|25P02)$/
/** Errors of pg and ioredis that have no code. */
const withoutCode =
  /connection (is closed|terminated|timeout)|timeout exceeded when trying to connect|query read timeout|socket timeout/i

const codeOf = (error: unknown): string | undefined => {
  const { code } = (error ?? {}) as { code?: unknown }
  return typeof code === 'string' ? code : undefined
}

/** True if no connection was established: the other side has seen nothing of the request. */
export const isNotSent = (error: unknown): boolean => notConnected.test(codeOf(error) ?? '')

/** True if a server was unreachable or unusable, false if it refused the work. */
export const isConnectionError = (error: unknown): boolean => {
  if (error instanceof AggregateError && error.errors.some(isConnectionError)) return true
  const code = codeOf(error)
  if (code === undefined) return error instanceof Error && withoutCode.test(error.message)
  return notConnected.test(code) || broken.test(code) || unusableServer.test(code)
}
