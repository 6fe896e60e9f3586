import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import type { ServiceName } from '../environment.ts'
import type { Shutdown } from '../platform/boot/shutdown.ts'
import { createDatabase, type Database } from '../platform/db/database.ts'
import { isPlainText, parseDatabaseUrl } from '../platform/db/url.ts'
import { withRelay } from '../platform/db/with-relay.ts'
import type { Metrics } from '../platform/observability/metrics.ts'
import type { Definitions } from './topology.ts'

export interface Databases {
  /** The module's database; one without an address refuses each statement. */
  of(name: ServiceName): Database
  /** Connects the module's relay: from now on its `write` wakes it. */
  connectRelay(name: ServiceName, wake: () => void): void
  /** Checks for readiness, by display name. */
  readonly checks: Readonly<Record<string, () => Promise<void>>>
}

export interface DatabasesOptions {
  readonly definitions: Definitions
  readonly config: Config
  readonly metrics: Metrics
  readonly log: Logger
  readonly shutdown: Shutdown
}

/** For a module without tables. */
const noDatabase: Database = {
  use: () => Promise.reject(new Error('this module has no database')),
  run: () => Promise.reject(new Error('this module has no database')),
  write: () => Promise.reject(new Error('this module has no database')),
  prepare: () => () => Promise.reject(new Error('this module has no database')),
  ping: async () => {},
  close: async () => {},
}

/** Time limit of each statement, in milliseconds: half of the request's. */
export const statementTimeoutOf = ({ requestTimeoutMs }: Config): number => Math.max(100, Math.round(requestTimeoutMs * 0.5))

const complainEveryMs = 60_000

/** One pool for each database and role of this process's modules. */
export const createDatabases = ({ definitions, config, metrics, log, shutdown }: DatabasesOptions): Databases => {
  const open = new Map<string, Database>()
  shutdown.add({
    name: 'databases',
    limitMs: 1000,
    run: () => Promise.all([...open.values()].map((database) => database.close())),
  })
  const plain = new Set<string>()
  const warnOfPlainText = (url: string | undefined, of: string) => {
    if (!config.production || !url || plain.has(url) || !isPlainText(parseDatabaseUrl(url))) return
    plain.add(url)
    log.warn(`the database of ${of} is on another host and its connections are not encrypted: add sslmode=verify-full to the URL`)
  }
  const onRefused = (name: string) => {
    let lastComplaint = Number.NEGATIVE_INFINITY
    return (reason: string) => {
      if (performance.now() - lastComplaint < complainEveryMs) return
      lastComplaint = performance.now()
      log.error(`rejecting a connection to the database of ${name}: ${reason}`)
    }
  }
  const relays = new Map<ServiceName, () => void>()
  const poolOf = (name: ServiceName): Database => {
    const url = config.databaseUrlOf(name)
    if (!url) return noDatabase
    warnOfPlainText(url, name)
    const role = definitions.get(name)?.databaseRole
    const place = role ? `${url} ${role}` : url
    const database =
      open.get(place) ??
      createDatabase({
        url,
        max: config.databasePool,
        statementTimeoutMs: statementTimeoutOf(config),
        applicationName: config.healthName,
        role,
        onWait: (seconds) => metrics.observePoolWait(name, seconds),
        onRefused: onRefused(name),
      })
    open.set(place, database)
    return database
  }
  return {
    of: (name) => withRelay(poolOf(name), () => relays.get(name)?.()),
    connectRelay: (name, wake) => void relays.set(name, wake),
    checks: Object.fromEntries(
      [...definitions.keys()]
        .filter((name) => poolOf(name) !== noDatabase)
        .map((name) => [`${name}-database`, () => poolOf(name).ping()]),
    ),
  }
}
