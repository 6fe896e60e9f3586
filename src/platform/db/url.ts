import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { type ConnectionOptions, checkServerIdentity } from 'node:tls'
import { type Endpoint, onlySocket, socketFileOf } from './socket.ts'

type TlsMode = 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'

/** The content of a database URL, for both drivers. */
export interface DatabaseAddress {
  readonly endpoints: readonly Endpoint[]
  /** Left out if the URL has none: the drivers then use PGUSER, PGPASSWORD and the user's name as the database's. */
  readonly login: { readonly user?: string; readonly password?: string; readonly database?: string }
  readonly tls: TlsMode
  /** A file with certificates in PEM; otherwise the authorities that Node.js knows. */
  readonly rootCertificates?: string | undefined
  readonly directTls: boolean
  /** Whether the server must accept writes. */
  readonly writes: boolean
  readonly applicationName?: string | undefined
}

const endpointOf = (text: string): Endpoint => {
  const url = new URL(`postgres://${text}`)
  const host = decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, '$1')
  return { host: host || 'localhost', port: Number(url.port || 5432) }
}

/** @throws for an unreadable URL; the message does not contain the password */
export const parseDatabaseUrl = (text: string): DatabaseAddress => {
  const [, scheme, login = '', hosts = '', rest] = /^(postgres(?:ql)?):\/\/([^/?#]*@)?([^@/?#]*)([/?].*)?$/i.exec(text) ?? []
  if (!scheme) throw new Error('it is not a PostgreSQL URL')
  const url = URL.parse(`postgres://${login}first-host${rest ?? ''}`)
  // A # in the password begins a fragment, and the part before it looks like a host.
  if (!url || url.hash) throw new Error('it is not a URL')
  const user = decodeURIComponent(url.username)
  const password = decodeURIComponent(url.password)
  const database = decodeURIComponent(url.pathname.slice(1))
  const get = (name: string) => url.searchParams.get(name) ?? undefined
  const rootCertificates = get('sslrootcert')
  return {
    endpoints: hosts.split(',').map(endpointOf),
    login: { ...(user && { user }), ...(password && { password }), ...(database && { database }) },
    tls: (get('sslmode') as TlsMode | undefined) ?? (rootCertificates === 'system' ? 'verify-full' : 'disable'),
    rootCertificates: rootCertificates === 'system' ? undefined : rootCertificates,
    directTls: get('sslnegotiation') === 'direct',
    writes: get('target_session_attrs') !== 'any',
    applicationName: get('application_name'),
  }
}

/** As in libpq (PostgreSQL's manual, 32.19.1): `require` checks the authority if a file of authorities is given. */
const tlsOptions = ({ tls, rootCertificates }: DatabaseAddress, { host }: Endpoint): ConnectionOptions => {
  // Not for an IP address (RFC 6066, 3).
  const servername = isIP(host) ? {} : { servername: host }
  if (tls === 'prefer' || (tls === 'require' && !rootCertificates)) return { ...servername, rejectUnauthorized: false }
  const ca = rootCertificates ? { ca: readFileSync(rootCertificates) } : {}
  const name: ConnectionOptions['checkServerIdentity'] =
    tls === 'verify-full' ? (_, certificate) => checkServerIdentity(host, certificate) : () => undefined
  return { ...servername, ...ca, rejectUnauthorized: true, checkServerIdentity: name }
}

const usesTls = ({ tls }: DatabaseAddress, endpoint: Endpoint) => tls !== 'disable' && !socketFileOf(endpoint)

/**
 * For postgres.js, which then reads no URL and, of PostgreSQL's variables, only PGUSER, PGPASSWORD and PGDATABASE. For one
 * connection: a second one is refused.
 */
export const postgresJsOptions = (address: DatabaseAddress, endpoint: Endpoint) => {
  const direct = usesTls(address, endpoint) && address.directTls ? { sslnegotiation: 'direct' } : {}
  return {
    host: endpoint.host,
    port: endpoint.port,
    ...address.login,
    ssl: !usesTls(address, endpoint) ? false : address.tls === 'prefer' ? ('prefer' as const) : tlsOptions(address, endpoint),
    // Newer than the driver's types.
    ...({ ...direct, socket: onlySocket(endpoint) } as object),
  }
}

/** For pg. `plain` is for a server without TLS, if the URL only prefers it. */
export const pgOptions = (address: DatabaseAddress, endpoint: Endpoint, plain = false) => {
  const tls = usesTls(address, endpoint) && !plain
  return {
    ...endpoint,
    ...address.login,
    ssl: tls ? tlsOptions(address, endpoint) : false,
    sslnegotiation: tls && address.directTls ? 'direct' : 'postgres',
  }
}

const ownHost = /^(localhost|127\.\d+\.\d+\.\d+|::1|\/.*)$/

/** Whether passwords and rows go, or may go, to another host unencrypted. */
export const isPlainText = ({ endpoints, tls }: DatabaseAddress): boolean =>
  (tls === 'disable' || tls === 'prefer') && endpoints.some(({ host }) => !ownHost.test(host))

/** Chooses among several servers for the next connection. */
export interface Endpoints {
  current(): Endpoint
  /** This server cannot be reached, or accepts no writes: the next connection goes to the following one. */
  failed(endpoint: Endpoint): void
}

export const createEndpoints = ({ endpoints }: DatabaseAddress): Endpoints => {
  let at = 0
  const current = () => endpoints[at % endpoints.length] as Endpoint
  return {
    current,
    // Many connections fail at once; together they must not skip the server that works.
    failed: (endpoint) => {
      if (endpoint === current()) at += 1
    },
  }
}
