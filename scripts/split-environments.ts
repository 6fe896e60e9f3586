import { randomInt } from 'node:crypto'
import { freePort, isFree } from '../src/app/port-taken.ts'
import { splitDatabase } from '../src/app/split-databases.ts'
import { readersOf, readSecretFiles } from '../src/config/secret-files.ts'
import { type Config, readConfig } from '../src/config.ts'
import { ports, type ServiceName, serviceNames, storingServices } from '../src/environment.ts'
import type { EmbeddedPostgres } from '../src/platform/db/embedded-postgres.ts'

type Env = Readonly<Record<string, string | undefined>>

export interface Place {
  readonly port: number
  readonly metricsPort: number
  /** The address for the other processes and for us. */
  readonly url: string
}
export type Places = Readonly<Record<ServiceName, Place>>

const loopback = '127.0.0.1'
const everywhere = new Set(['0.0.0.0', '::'])

/** The error that a server gets if the port is in use. */
const taken = (port: number): Error => Object.assign(new Error(`port ${port} is in use`), { code: 'EADDRINUSE', port })

/**
 * The ports of every process. PORT and METRICS_PORT apply to the gateway and must be free. The other services use their own
 * ports, or any free ones: only this program calls them.
 */
export const findPlaces = async ({ host, port, metricsPort }: Config): Promise<Places> => {
  const given = new Set<number>()
  const take = async (wanted: number, on: string): Promise<number> => {
    const distance = randomInt(7000, 20_000) // Random, so that two concurrent starts do not choose the same ports.
    const found = await freePort(on, wanted === 0 ? distance + 5000 : wanted, distance, given)
    given.add(found)
    return found
  }
  const must = async (wanted: number): Promise<number> => {
    if (wanted === 0) return take(0, host)
    if (!(await isFree(host, wanted))) throw taken(wanted)
    given.add(wanted)
    return wanted
  }
  const at = (on: string, own: number) => `http://${everywhere.has(on) ? loopback : on}:${own}`
  const gateway = { port: await must(port), metricsPort: await must(metricsPort) }
  const places: Partial<Record<ServiceName, Place>> = { gateway: { ...gateway, url: at(host, gateway.port) } }
  for (const [index, name] of serviceNames.entries()) {
    if (name === 'gateway') continue
    const own = await take(ports[name], loopback)
    const metrics = await take(metricsPort === 0 ? 0 : metricsPort + index, loopback)
    places[name] = { port: own, metricsPort: metrics, url: at(loopback, own) }
  }
  return places as Places
}

/** For our own cluster: a database for each service in it. */
const ownDatabases = async (embedded: EmbeddedPostgres, env: Env): Promise<Env> => {
  const databases: Record<string, string | undefined> = { DATABASE_URL: embedded.url }
  for (const name of storingServices) {
    const key = `${name.toUpperCase()}_DATABASE_URL`
    databases[key] = env[key] || (await splitDatabase(embedded.url, name, { make: true }))
  }
  return databases
}

export interface Environments {
  /** The environment of this service's process. */
  of(name: ServiceName): Env
  /** The environment of all services in one process, with the databases of the split topology. */
  readonly together: Env
}

/** Of the secrets, a service gets only those that it reads. */
const withoutOthersSecrets = (env: Env, service: ServiceName): Env =>
  Object.fromEntries(Object.entries(env).filter(([key]) => readersOf(key)?.includes(service) ?? true))

export const splitEnvironments = async (
  given: Env,
  { config, embedded }: { readonly config: Config; readonly embedded: EmbeddedPostgres | undefined },
  places: Places,
): Promise<Environments> => {
  const { env } = readSecretFiles(given)
  const urls = Object.fromEntries(serviceNames.map((name) => [`${name.toUpperCase()}_SERVICE_URL`, places[name].url]))
  const common = {
    ...env,
    PUBLIC_URL: env.PUBLIC_URL || places.gateway.url,
    AUDIT_ANCHOR: config.auditAnchor,
    SEED: env.SEED || String(embedded !== undefined),
    ...(embedded ? await ownDatabases(embedded, env) : {}),
  }
  return {
    together: { ...common, SERVICE: 'all' },
    of: (name) => ({
      ...withoutOthersSecrets(common, name),
      ...urls,
      SERVICE: name,
      PORT: String(places[name].port),
      METRICS_PORT: String(places[name].metricsPort),
      HOST: name === 'gateway' ? env.HOST : loopback,
    }),
  }
}

/** Validates each environment as its process will. @throws ConfigError */
export const checkEnvironments = ({ of }: Environments): void => {
  for (const name of serviceNames) readConfig(of(name))
}
