/** The steps to a usable database; an error names its step. */
export type Step =
  | 'address'
  | 'name look-up'
  | 'connection'
  | 'TLS'
  | 'login'
  | 'database'
  | 'role'
  | 'settings'
  | 'writing'
  | 'rights'

export interface DatabaseFault {
  readonly step: Step
  /** One line, without the password. */
  readonly reason: string
  /** Waiting does not help: somebody must fix it. */
  readonly lasting: boolean
}

const lookupFailed = /^(ENOTFOUND|EAI_)/
const tlsFailed = /^(ERR_TLS|ERR_SSL|ERR_OSSL|EPROTO|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH)/
const notConnected = /^(E[A-Z]+|CONNECT_TIMEOUT|CONNECTION_[A-Z]+)$/
/** Starting, stopping, full or failing: classes 08, 53, 57 and 58 of PostgreSQL's error codes (appendix A), except 08P01. */
const passing = /^(08(?!P01)|53|57|58)/

/** What an error of a driver, or of Node.js, says about a database; undefined if it says nothing about one. */
export const faultOf = (error: unknown, at = 'the server'): DatabaseFault | undefined => {
  if (!(error instanceof Error)) return undefined
  const { code, message, cause } = error as Error & { code?: unknown }
  if (typeof code !== 'string' || !/^[A-Z0-9_]+$/.test(code)) return cause === error ? undefined : faultOf(cause, at)
  if (lookupFailed.test(code)) return { step: 'name look-up', reason: `no address is known (${code})`, lasting: false }
  if (tlsFailed.test(code)) return { step: 'TLS', reason: `${message} (${code})`, lasting: true }
  if (code === 'ECONNREFUSED') return { step: 'connection', reason: `${at} refuses it (${code})`, lasting: false }
  if (notConnected.test(code)) return { step: 'connection', reason: `${at} does not respond (${code})`, lasting: false }
  if (!/^[0-9A-Z]{5}$/.test(code)) return undefined
  const said = { reason: `${message} (${code})`, lasting: true }
  if (code === '28P01' || code === '28000' || code === '08P01') return { step: 'login', ...said }
  if (code === '3D000') return { step: 'database', ...said }
  if (/\brole\b/.test(message) && /^(22023|42704|42501)$/.test(code)) return { step: 'role', ...said }
  if (code === '42501') return { step: 'rights', ...said }
  return passing.test(code) ? { step: 'connection', ...said, lasting: false } : undefined
}
