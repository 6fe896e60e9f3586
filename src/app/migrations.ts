import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { drizzle } from 'drizzle-orm/postgres-js'
import { migrate } from 'drizzle-orm/postgres-js/migrator'
import postgres from 'postgres'
import { type Config, ConfigError, databaseProblems } from '../config.ts'
import { storingServices } from '../environment.ts'
import { explained, usableServer } from '../platform/db/startup.ts'
import { register } from '../platform/events/subscription-repository.ts'
import { type ModuleName, subscriptionsTo } from '../registry.ts'

/** Where applied migrations are recorded: one table per module. */
const recordSchema = 'orderhub_migrations'
/** Any number, the same for all processes that migrate. */
const lockId = 7_203_118

const folderOf = (module: string): string => fileURLToPath(new URL(`../../drizzle/${module}`, import.meta.url))

/** Convention: a module owns one schema, of this name. */
const schemaNameOf = (module: ModuleName): string => `${module}s`

export interface Target {
  readonly module: ModuleName
  readonly url: string
}

/** The selected modules that have migrations, each with its database. @throws ConfigError if one has none */
export const migrationTargets = (config: Config): Target[] => {
  const modules = config.selected.filter((name) => storingServices.includes(name))
  const problems = databaseProblems(config)
  if (problems.length > 0) throw new ConfigError(problems)
  return modules.map((module) => ({ module, url: config.databaseUrlOf(module) as string }))
}

export const connect = async (url: string): Promise<postgres.Sql> =>
  postgres({
    ...(await usableServer(url)),
    max: 1,
    onnotice: () => {},
    connect_timeout: 10,
    connection: { application_name: 'orderhub-migrate' },
  })

/** Only one process migrates a database at a time; the others wait. The lock ends with the connection. */
export const locked = async (client: postgres.Sql, work: () => Promise<void>): Promise<void> => {
  await client`select pg_advisory_lock(${lockId})`
  await work()
}

/**
 * The rights of a module's roles, as idempotent statements: roles belong to the whole cluster, and are not in a database's dump.
 */
const grantRights = async (client: postgres.Sql, module: string): Promise<void> => {
  const file = `${folderOf(module)}/rights.sql`
  if (!existsSync(file)) return
  await client.unsafe(await readFile(file, 'utf8'))
}

/**
 * Applies the missing migrations of each target, in order, each module's in one transaction. Safe to run in several processes: an
 * advisory lock lets one work and the others wait.
 */
export const runMigrations = async (targets: readonly Target[]): Promise<void> => {
  for (const { module, url } of targets) {
    const client = await connect(url)
    try {
      await locked(client, async () => {
        await migrate(drizzle(client), {
          migrationsFolder: folderOf(module),
          migrationsSchema: recordSchema,
          migrationsTable: module,
        })
        await grantRights(client, module)
        // Before the first process of this version: from now on, events of older ones go to its new subscribers too.
        await drizzle(client).execute(register(schemaNameOf(module), subscriptionsTo(module)))
      })
    } catch (error) {
      throw explained({ url, of: [module] }, error)
    } finally {
      await client.end({ timeout: 5 })
    }
  }
}

/** The modules whose schema lacks a migration of this version. A newer schema is fine. */
export const modulesBehind = async (targets: readonly Target[]): Promise<string[]> => {
  const behind: string[] = []
  for (const { module, url } of targets) {
    const { entries } = JSON.parse(await readFile(`${folderOf(module)}/meta/_journal.json`, 'utf8')) as { entries: unknown[] }
    const client = await connect(url)
    try {
      const [known] = await client`select to_regclass(${`${recordSchema}.${module}`}) is not null as there`
      const [applied] = known?.there
        ? await client`select count(*)::int as n from ${client(`${recordSchema}.${module}`)}`
        : [{ n: 0 }]
      if ((applied?.n ?? 0) < entries.length) behind.push(module)
    } catch (error) {
      throw explained({ url, of: [module] }, error)
    } finally {
      await client.end({ timeout: 5 })
    }
  }
  return behind
}
