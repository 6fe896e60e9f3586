import { lookup } from 'node:dns/promises'
import { connect as connectTo, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import postgres from 'postgres'
import { within } from './deadline.ts'

/** The way to a usable database, step by step: what failed is named by its step. */
export type Step = 'address' | 'name look-up' | 'connection' | 'TLS' | 'login' | 'database' | 'role' | 'rights'

export interface DatabaseFault {
  readonly step: Step
  /** One line, without the password. */
  readonly reason: string
  /** Waiting does not change it: somebody has to put it right. */
  readonly lasting: boolean
}

/** A database and what this process wants of it. */
export interface DatabasePlace {
  readonly url: string
  /** For whom, as in `user, order`. */
  readonly of: readonly string[]
  /** Whose rights the statements have; otherwise the login's own. */
  readonly role?: string | undefined
  /** Schemas that must be open to that role where they are there. */
  readonly schemas?: readonly string[]
}

/** A database that cannot be used, in one line. */
export class DatabaseStartError extends Error {
  override readonly name = 'DatabaseStartError'
  readonly lasting: boolean
  constructor(message: string, lasting: boolean) {
    super(message)
    this.lasting = lasting
  }
}

interface Address {
  readonly host: string
  readonly port: number
  readonly path: string | false
  readonly name: string
  readonly tls: boolean
}

/** One step of one try, milliseconds. */
const lookupMs = 3000
const connectMs = 3000
const loginMs = 5000
const longestPauseMs = 2000

const lookupFailed = /^(ENOTFOUND|EAI_)/
const tlsFailed = /^(ERR_TLS|ERR_SSL|ERR_OSSL|EPROTO|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH)/
const notConnected = /^(E[A-Z]+|CONNECT_TIMEOUT|CONNECTION_[A-Z]+)$/
/** Starting, stopping, full or failing: classes 08, 53, 57 and 58 of PostgreSQL's error codes (appendix A), but for 08P01. */
const passing = /^(08(?!P01)|53|57|58)/

/** @throws when the address cannot be read; its message may hold the password */
const addressOf = (url: string): Address => {
  const { hash } = new URL(url.replace(/,[^/?#]*/, ''))
  // A # in the password begins a fragment, and what comes before it looks like a host.
  if (hash) throw new Error('a fragment')
  const { host, port, path, database, ssl } = postgres(url, { max: 1 }).options as unknown as {
    host: string[]
    port: number[]
    path: string | false
    database: string
    ssl: unknown
  }
  if (!host[0] || !port[0]) throw new Error('no host')
  return { host: host[0], port: port[0], path, name: database, tls: Boolean(ssl) && ssl !== 'prefer' }
}

const placeOf = ({ path, host, port }: Address): string => path || `${host}:${port}`

/** What an error of a driver, or of Node.js, says about a database; undefined where it says nothing about one. */
export const faultOf = (error: unknown, at = 'the server'): DatabaseFault | undefined => {
  if (!(error instanceof Error)) return undefined
  const { code, message, cause } = error as Error & { code?: unknown }
  if (typeof code !== 'string' || !/^[A-Z0-9_]+$/.test(code)) return cause === error ? undefined : faultOf(cause, at)
  if (lookupFailed.test(code)) return { step: 'name look-up', reason: `no address is known (${code})`, lasting: false }
  if (tlsFailed.test(code)) return { step: 'TLS', reason: `${message} (${code})`, lasting: true }
  if (code === 'ECONNREFUSED') return { step: 'connection', reason: `${at} refuses it (${code})`, lasting: false }
  if (notConnected.test(code)) return { step: 'connection', reason: `${at} does not answer (${code})`, lasting: false }
  if (!/^[0-9A-Z]{5}$/.test(code)) return undefined
  const said = { reason: `${message} (${code})`, lasting: true }
  if (code === '28P01' || code === '28000' || code === '08P01') return { step: 'login', ...said }
  if (code === '3D000') return { step: 'database', ...said }
  if (/\brole\b/.test(message) && /^(22023|42704|42501)$/.test(code)) return { step: 'role', ...said }
  if (code === '42501') return { step: 'rights', ...said }
  return passing.test(code) ? { step: 'connection', ...said, lasting: false } : undefined
}

/** Without a code: it says nothing about the database. */
const tooLate = () => new Error('too late')

const connected = (socket: Socket) =>
  new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })

/** Whether a server offers TLS: its answer to SSLRequest (PostgreSQL, 54.2.11) is `S`, or `N`. */
const offersTls = async (socket: Socket): Promise<boolean> => {
  socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]))
  const answer = await new Promise<Buffer>((resolve, reject) => {
    socket.once('data', resolve)
    socket.once('error', reject)
    socket.once('close', () => reject(Object.assign(new Error('closed'), { code: 'ECONNRESET' })))
  })
  return answer[0] === 83
}

/** Which step it was that took too long, or broke off: the driver has one time limit for all of them. */
const locate = async (address: Address, tried: DatabaseFault): Promise<DatabaseFault> => {
  const { host, port, path, tls } = address
  if (!path) {
    try {
      await within(lookupMs, lookup(host), tooLate)
    } catch (error) {
      const late = { step: 'name look-up', reason: `no answer within ${lookupMs / 1000} s`, lasting: false } as const
      return faultOf(error) ?? late
    }
  }
  const socket = path ? connectTo(path) : connectTo(port, host)
  try {
    await within(connectMs, connected(socket), tooLate)
    if (!tls) return { ...tried, reason: `${placeOf(address)} takes connections and does not answer: is it PostgreSQL?` }
    const offered = await within(connectMs, offersTls(socket), tooLate)
    return offered ? { ...tried, step: 'TLS' } : { step: 'TLS', reason: 'the server does not offer it', lasting: true }
  } catch (error) {
    return faultOf(error, placeOf(address)) ?? tried
  } finally {
    socket.destroy()
  }
}

/** One try of the whole way; undefined when it came through. */
const tryOnce = async (place: DatabasePlace, address: Address): Promise<DatabaseFault | undefined> => {
  const client = postgres(place.url, {
    max: 1,
    fetch_types: false,
    connect_timeout: loginMs / 1000,
    onnotice: () => {},
    connection: { application_name: 'orderhub-start', ...(place.role ? { role: place.role } : {}) },
  })
  try {
    const closed = await client<{ nspname: string }[]>`
      select nspname from pg_namespace n
       where nspname = any(${`{${(place.schemas ?? []).join()}}`}::text[])
         and not (has_schema_privilege(oid, 'USAGE') and (
           select coalesce(bool_or(has_table_privilege(c.oid, 'SELECT')), true)
             from pg_class c where c.relnamespace = n.oid and c.relkind in ('r', 'p')))`
    if (closed.length === 0) return undefined
    const names = closed.map(({ nspname }) => nspname).join(', ')
    return { step: 'rights', reason: `the login may not read the schema ${names}`, lasting: true }
  } catch (error) {
    const fault = faultOf(error, placeOf(address))
    if (!fault) throw error
    const unclear =
      fault.step === 'connection' && !fault.reason.includes('ECONNREFUSED') && !(error instanceof postgres.PostgresError)
    return unclear ? locate(address, fault) : fault
  } finally {
    await client.end({ timeout: 1 }).catch(() => {})
  }
}

const lineOf = ({ of }: DatabasePlace, where: string, { step, reason }: DatabaseFault): string =>
  `the database of ${of.join(', ')}${where}: ${step} failed: ${reason}`

/** An error on the way to a database as one line that names the step; anything else as it is. */
export const explained = (place: DatabasePlace, error: unknown): unknown => {
  const fault = faultOf(error)
  return fault ? new DatabaseStartError(lineOf(place, '', fault), fault.lasting) : error
}

export interface WaitOptions {
  readonly waitMs: number
  /** What is waited for, when it begins and when the reason changes. */
  readonly onWait: (line: string) => void
}

/**
 * Resolves when the database can be used; tries again for `waitMs` while it may still come up.
 * @throws DatabaseStartError after that, or at once for what waiting does not change
 */
export const untilUsable = async (place: DatabasePlace, { waitMs, onWait }: WaitOptions): Promise<void> => {
  let address: Address
  try {
    address = addressOf(place.url)
  } catch {
    const reason = 'it is not a URL; what is special in a password must be percent-encoded'
    throw new DatabaseStartError(lineOf(place, '', { step: 'address', reason, lasting: true }), true)
  }
  const where = ` at ${placeOf(address)}/${address.name}`
  const began = performance.now()
  let told = ''
  for (let tries = 1; ; tries++) {
    const fault = await tryOnce(place, address)
    if (!fault) return
    const line = lineOf(place, where, fault)
    const spent = performance.now() - began
    if (fault.lasting || spent >= waitMs)
      throw new DatabaseStartError(`${line}; tried for ${Math.round(spent / 1000)} s`, fault.lasting)
    if (line !== told) onWait(`${line}; trying again for up to ${Math.round(waitMs / 1000)} s`)
    told = line
    await pause(Math.max(50, Math.min(longestPauseMs, 125 * 2 ** tries, waitMs - spent)))
  }
}
