import type { Config } from './config.ts'
import type { ServiceName } from './environment.ts'
import { createDatabase, type Database } from './platform/db.ts'
import type { Metrics } from './platform/metrics.ts'
import type { Definitions } from './topology.ts'

export interface Databases {
  /** The module's database; one without an address refuses each statement. */
  of(name: ServiceName): Database
  /** By a name for people: what readiness needs. */
  readonly checks: Readonly<Record<string, () => Promise<void>>>
  close(): Promise<void>
}

/** For a module without tables. */
const noDatabase: Database = {
  use: () => Promise.reject(new Error('this module has no database')),
  run: () => Promise.reject(new Error('this module has no database')),
  prepare: () => () => Promise.reject(new Error('this module has no database')),
  ping: async () => {},
  close: async () => {},
}

/** One pool for each database and role that the modules of this process work with. */
export const createDatabases = (definitions: Definitions, config: Config, metrics: Metrics): Databases => {
  const open = new Map<string, Database>()
  const of = (name: ServiceName): Database => {
    const url = config.databaseUrlOf(name)
    if (!url) return noDatabase
    const role = definitions.get(name)?.databaseRole
    const place = role ? `${url} ${role}` : url
    const database =
      open.get(place) ??
      createDatabase({
        url,
        max: config.databasePool,
        statementTimeoutMs: Math.max(100, Math.round(config.requestTimeoutMs * 0.5)),
        applicationName: config.healthName,
        role,
        onWait: (seconds) => metrics.observePoolWait(name, seconds),
      })
    open.set(place, database)
    return database
  }
  return {
    of,
    checks: Object.fromEntries(
      [...definitions.keys()]
        .filter((name) => of(name) !== noDatabase)
        .map((name) => [`${name}-database`, () => of(name).ping()]),
    ),
    close: async () => {
      await Promise.allSettled([...open.values()].map((database) => database.close()))
    },
  }
}
