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
   * Creates a database, empty or with the schemas of these modules, and returns its URL. Its name is different in each run.
   */
  createDatabase(name: string, modules?: readonly string[]): Promise<string>
  /** Drops the databases. */
  stop(): Promise<void>
}

export interface OwnPostgres extends TestPostgres {
  /** URL of its first database, with its superuser. */
  readonly url: string
  /** Stops the server and removes its files. */
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

/** Creates databases on the PostgreSQL of the test run. Use `startOwnPostgres` for tests that affect the whole server. */
export const startPostgres = async (): Promise<TestPostgres> => {
  const { postgresUrl } = await currentRun()
  return databasesOn(postgresUrl, (name) => `test_${name}_${randomUUID().slice(0, 8)}`)
}

/** No durability after a crash of the machine, and enough connections for several tests. */
const flags = ['fsync=off', 'full_page_writes=off', 'max_connections=500'].flatMap((setting) => ['-c', setting])

/** Starts a separate PostgreSQL on a free port, for a test that changes its settings or roles, or stops it. */
export const startOwnPostgres = async (): Promise<OwnPostgres> => {
  const folder = await mkdtemp(join(tmpdir(), 'orderhub-postgres-'))
  // If we are root, the server runs as another account, which must be able to enter the folder.
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
