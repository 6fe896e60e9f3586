import { lookup } from 'node:dns/promises'
import { connect as connectTo, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import postgres from 'postgres'
import { withTimeout } from '../concurrency/deadline.ts'
import { type DatabaseFault, faultOf } from './fault.ts'
import { readOnlyReason, type Session, sessionFault, sessionQuery } from './session.ts'
import { type Endpoint, socketFileOf } from './socket.ts'
import { createEndpoints, type DatabaseAddress, parseDatabaseUrl, postgresJsOptions } from './url.ts'

/** A database and the requirements of this process. */
export interface DatabasePlace {
  readonly url: string
  /** The modules that use it, such as `user, order`. */
  readonly of: readonly string[]
  /** The role of the statements; default: the login itself. */
  readonly role?: string | undefined
  /** The time limit of each statement. */
  readonly statementTimeoutMs?: number
  /** Schemas that this role must be able to access, if they exist. */
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

/** Time limit of one step of one attempt, milliseconds. */
const lookupMs = 3000
const connectMs = 3000
const loginMs = 5000
const longestPauseMs = 2000

const placeOf = ({ host, port }: Endpoint): string => (host.startsWith('/') ? host : `${host}:${port}`)

/** Without a code: it says nothing about the database. */
const tooLate = () => new Error('too late')

const connected = (socket: Socket) =>
  new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })

/** Whether a server offers TLS: it responds to SSLRequest with `S` or `N` (PostgreSQL, 54.2.11). */
const offersTls = async (socket: Socket): Promise<boolean> => {
  socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]))
  const answer = await new Promise<Buffer>((resolve, reject) => {
    socket.once('data', resolve)
    socket.once('error', reject)
    socket.once('close', () => reject(Object.assign(new Error('closed'), { code: 'ECONNRESET' })))
  })
  return answer[0] === 83
}

/** Which step took too long, or was interrupted: the driver has one time limit for all steps. */
const locate = async ({ tls }: DatabaseAddress, endpoint: Endpoint, tried: DatabaseFault): Promise<DatabaseFault> => {
  const { host, port } = endpoint
  const socketFile = socketFileOf(endpoint)
  if (!socketFile) {
    try {
      await withTimeout(lookupMs, lookup(host), tooLate)
    } catch (error) {
      const late = { step: 'name look-up', reason: `no response within ${lookupMs / 1000} s`, lasting: false } as const
      return faultOf(error) ?? late
    }
  }
  const socket = socketFile ? connectTo(socketFile) : connectTo(port, host)
  try {
    await withTimeout(connectMs, connected(socket), tooLate)
    if (tls === 'disable' || tls === 'prefer')
      return { ...tried, reason: `${placeOf(endpoint)} accepts connections but does not respond: is it PostgreSQL?` }
    const offered = await withTimeout(connectMs, offersTls(socket), tooLate)
    return offered ? { ...tried, step: 'TLS' } : { step: 'TLS', reason: 'the server does not offer it', lasting: true }
  } catch (error) {
    return faultOf(error, placeOf(endpoint)) ?? tried
  } finally {
    socket.destroy()
  }
}

/** One attempt at all steps for one server; undefined on success. */
const tryEndpoint = async (
  { role, statementTimeoutMs, schemas = [] }: DatabasePlace,
  address: DatabaseAddress,
  endpoint: Endpoint,
): Promise<DatabaseFault | undefined> => {
  const client = postgres({
    ...postgresJsOptions(address, endpoint),
    max: 1,
    fetch_types: false,
    connect_timeout: loginMs / 1000,
    onnotice: () => {},
    connection: {
      application_name: 'orderhub-start',
      TimeZone: 'UTC',
      ...(statementTimeoutMs ? { statement_timeout: statementTimeoutMs } : {}),
      ...(role ? { role } : {}),
    },
  })
  try {
    const [session] = await client.unsafe<Session[]>(sessionQuery)
    if (address.writes && session?.read_only) return { step: 'writing', reason: readOnlyReason, lasting: false }
    const dropped = session && sessionFault(session, { role, statementTimeoutMs })
    if (dropped) return { step: 'settings', reason: dropped, lasting: true }
    const closed = await client<{ nspname: string }[]>`
      select nspname from pg_namespace n
       where nspname = any(${`{${schemas.join()}}`}::text[])
         and not (has_schema_privilege(oid, 'USAGE') and (
           select coalesce(bool_or(has_table_privilege(c.oid, 'SELECT')), true)
             from pg_class c where c.relnamespace = n.oid and c.relkind in ('r', 'p')))`
    if (closed.length === 0) return undefined
    const names = closed.map(({ nspname }) => nspname).join(', ')
    return { step: 'rights', reason: `the login may not read the schema ${names}`, lasting: true }
  } catch (error) {
    const fault = faultOf(error, placeOf(endpoint))
    if (!fault) throw error
    const unclear =
      fault.step === 'connection' && !fault.reason.includes('ECONNREFUSED') && !(error instanceof postgres.PostgresError)
    return unclear ? locate(address, endpoint, fault) : fault
  } finally {
    await client.end({ timeout: 1 }).catch(() => {})
  }
}

/** Undefined if one of the servers can be used; otherwise the lasting fault, or the last one. */
const tryOnce = async (place: DatabasePlace, address: DatabaseAddress): Promise<DatabaseFault | undefined> => {
  let worst: DatabaseFault | undefined
  for (const endpoint of address.endpoints) {
    const fault = await tryEndpoint(place, address, endpoint)
    if (!fault) return undefined
    if (!worst?.lasting) worst = fault
  }
  return worst
}

/** The options of postgres.js for the only server of a URL, or the first usable one of several. */
export const usableServer = async (url: string) => {
  const address = parseDatabaseUrl(url)
  const endpoints = createEndpoints(address)
  for (let tries = address.endpoints.length; tries > 1; tries--) {
    const fault = await tryEndpoint({ url, of: [] }, address, endpoints.current()).catch(() => true)
    if (!fault) break
    endpoints.failed(endpoints.current())
  }
  return postgresJsOptions(address, endpoints.current())
}

const lineOf = ({ of }: DatabasePlace, where: string, { step, reason }: DatabaseFault): string =>
  `the database of ${of.join(', ')}${where}: ${step} failed: ${reason}`

/** An error on the way to a database as one line that names the step; other errors unchanged. */
export const explained = (place: DatabasePlace, error: unknown): unknown => {
  const fault = faultOf(error)
  return fault ? new DatabaseStartError(lineOf(place, '', fault), fault.lasting) : error
}

export interface WaitOptions {
  readonly waitMs: number
  /** Called when the wait begins and when its reason changes. */
  readonly onWait: (line: string) => void
}

/**
 * Resolves when the database can be used; retries for `waitMs` while it may still come up.
 * @throws DatabaseStartError after that, or at once if waiting does not help
 */
export const untilUsable = async (place: DatabasePlace, { waitMs, onWait }: WaitOptions): Promise<void> => {
  let address: DatabaseAddress
  try {
    address = parseDatabaseUrl(place.url)
  } catch {
    const reason = 'it is not a URL; what is special in a password must be percent-encoded'
    throw new DatabaseStartError(lineOf(place, '', { step: 'address', reason, lasting: true }), true)
  }
  const where = ` at ${address.endpoints.map(placeOf).join(',')}/${address.login.database ?? address.login.user ?? ''}`
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
