import { randomUUID } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import postgres from 'postgres'
import { startEmbeddedPostgres } from '../src/platform/db/embedded-postgres.ts'
import { cloneMigrated } from './migrated.ts'
import { currentRun } from './run.ts'

export interface TestPostgres {
  /**
   * Creates a database and gives its URL: empty, or with the schemas of these modules.
   * The name in the URL differs from run to run.
   */
  createDatabase(name: string, modules?: readonly string[]): Promise<string>
  /** Removes the databases. */
  stop(): Promise<void>
}

export interface OwnPostgres extends TestPostgres {
  /** The URL of its first database, as its superuser. */
  readonly url: string
  /** Ends the server and removes its files. */
  stop(): Promise<void>
}

const withClient = async <T>(url: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> => {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    return await work(sql)
  } finally {
    await sql.end()
  }
}

const databasesOn = (server: string, nameOf: (name: string) => string): TestPostgres => {
  const made: string[] = []
  return {
    createDatabase: async (given, modules) => {
      const name = nameOf(given)
      await withClient(server, async (sql) => {
        if (modules) await cloneMigrated(sql, server, name, modules)
        else await sql`create database ${sql(name)}`
      })
      made.push(name)
      return Object.assign(new URL(server), { pathname: `/${name}` }).href
    },
    stop: () =>
      withClient(server, async (sql) => {
        for (const name of made.splice(0)) await sql`drop database if exists ${sql(name)} with (force)`
      }),
  }
}

/** Databases of one's own on the PostgreSQL of the run. For what concerns a whole server there is `startOwnPostgres`. */
export const startPostgres = async (): Promise<TestPostgres> => {
  const { postgresUrl } = await currentRun()
  return databasesOn(postgresUrl, (name) => `test_${name}_${randomUUID().slice(0, 8)}`)
}

/** Nothing survives a crash of the machine, and the connections of several tests fit in. */
const flags = ['fsync=off', 'full_page_writes=off', 'max_connections=500'].flatMap((setting) => ['-c', setting])

/** Starts a real PostgreSQL on a free port, for a test that changes its settings or its logins, or stops it. */
export const startOwnPostgres = async (): Promise<OwnPostgres> => {
  const folder = await mkdtemp(join(tmpdir(), 'orderhub-postgres-'))
  // As root the server runs as another account, which has to be able to enter the folder.
  await chmod(folder, 0o755)
  const server = await startEmbeddedPostgres(folder, flags)
  return {
    ...databasesOn(server.url, (name) => `test_${name}`),
    url: server.url,
    stop: async () => {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
      await rm(dirname(server.directory), { recursive: true, force: true })
    },
  }
}
