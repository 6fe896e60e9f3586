import type postgres from 'postgres'
import { type Config, ConfigError } from '../config.ts'
import { storingServices } from '../environment.ts'
import { explained } from '../platform/db/startup.ts'
import { bringQueuesUpToDate, schema as queueSchema } from '../platform/queue/postgres-schema.ts'
import { connect, locked, type Target } from './migrations.ts'

/** A module's own login, and its database with the owner's login. */
export interface LoginTarget extends Target {
  readonly login: string
  readonly password: string
}

/** Not with URL, which cannot parse several hosts. */
const partsOf = (url: string) => {
  const [, scheme = '', user = '', password = '', place = ''] = /^(\w+:\/\/)([^:@/?#]*)(?::([^@/?#]*))?@(.*)$/.exec(url) ?? []
  return {
    scheme,
    user: decodeURIComponent(user),
    password: decodeURIComponent(password),
    credentials: `${user}:${password}@`,
    place,
  }
}

/**
 * `DATABASE_URL` is the owner's, and `<MODULE>_DATABASE_URL` contains the login to create for the module, with its password.
 * @throws ConfigError with every error
 */
export const loginTargets = ({ selected, databaseUrl, databaseUrlOf }: Config): LoginTarget[] => {
  if (!databaseUrl)
    throw new ConfigError(['DATABASE_URL is missing: with --logins, the address with the login of the schemas’ owner'])
  const owner = partsOf(databaseUrl)
  const problems: string[] = []
  const targets = selected
    .filter((module) => storingServices.includes(module))
    .flatMap((module): LoginTarget[] => {
      const key = `${module.toUpperCase()}_DATABASE_URL`
      const url = databaseUrlOf(module) as string
      const { scheme, user, password, place } = partsOf(url)
      if (url === databaseUrl) problems.push(`${key} is missing: with --logins, the address with the login of ${module}`)
      else if (!user || !password) problems.push(`${key} has no login with a password`)
      else if (user === owner.user) problems.push(`${key} has the login of DATABASE_URL, which owns every schema`)
      return [{ module, url: `${scheme}${owner.credentials}${place}`, login: user, password }]
    })
  for (const { module, login } of targets) {
    const other = targets.find((target) => target.login === login && target.module !== module)
    if (login !== owner.user && other && other.module > module)
      problems.push(`${module} and ${other.module} have the same login: each needs one of its own`)
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return targets
}

/** Runs a statement that accepts no parameters; the server quotes the values for %I and %L. */
const run = async (client: postgres.Sql, statement: string, ...values: readonly string[]): Promise<void> => {
  const [row] = await client`select format(${statement}, variadic ${values as string[]}::text[]) as text`
  await client.unsafe(row?.text)
}

const makeLogin = async (client: postgres.Sql, login: string, password: string): Promise<void> => {
  const known = await client`select from pg_roles where rolname = ${login}`
  await run(client, `${known.length > 0 ? 'alter' : 'create'} role %I with login password %L`, login, password)
}

const grantOnDatabase = async (client: postgres.Sql, right: 'connect' | 'connect, temporary', login: string): Promise<void> => {
  const [database] = await client`select current_database() as name`
  await run(client, `grant ${right} on database %I to %I`, database?.name, login)
}

const grantData = async (client: postgres.Sql, schema: string, login: string): Promise<void> => {
  const rights = [
    'grant usage on schema %I to %I',
    'grant select, insert, update, delete on all tables in schema %I to %I',
    // `update` for setval, with which the sample data is written.
    'grant usage, select, update on all sequences in schema %I to %I',
    // For objects that the owner's later migrations create.
    'alter default privileges in schema %I grant select, insert, update, delete on tables to %I',
    'alter default privileges in schema %I grant usage, select, update on sequences to %I',
  ]
  for (const right of rights) await run(client, right, schema, login)
}

const grantOwn = async (client: postgres.Sql, { module, login }: LoginTarget): Promise<void> => {
  await grantOnDatabase(client, 'connect', login)
  // Less than its schema: drizzle/audit/rights.sql.
  if (module === 'audit') await run(client, 'grant orderhub_audit to %I', login)
  else await grantData(client, `${module}s`, login)
  // To check whether the schema is up to date.
  await run(client, 'grant usage on schema orderhub_migrations to %I', login)
  await run(client, 'grant select on orderhub_migrations.%I to %I', module, login)
}

/** For events through PostgreSQL: one schema that all share, created by the owner. */
const grantQueue = async (url: string, logins: readonly string[]): Promise<void> => {
  await bringQueuesUpToDate(url)
  const client = await connect(url)
  try {
    await locked(client, async () => {
      for (const login of logins) {
        // BullMQ's functions use temporary tables.
        await grantOnDatabase(client, 'connect, temporary', login)
        await grantData(client, queueSchema, login)
      }
    })
  } finally {
    await client.end({ timeout: 5 })
  }
}

/**
 * Ensures that each module has a login with rights only on its own schema; the schemas must be migrated. Idempotent: a new
 * password replaces the old one. @throws DatabaseStartError, or PostgreSQL's error
 */
export const makeLogins = async (targets: readonly LoginTarget[], { databaseUrl, redisUrl }: Config): Promise<void> => {
  for (const target of targets) {
    const { module, url, login, password } = target
    const client = await connect(url)
    try {
      await locked(client, async () => {
        await makeLogin(client, login, password)
        await grantOwn(client, target)
      })
    } catch (error) {
      throw explained({ url, of: [module] }, error)
    } finally {
      await client.end({ timeout: 5 })
    }
  }
  if (databaseUrl && !redisUrl)
    await grantQueue(
      databaseUrl,
      targets.map(({ login }) => login),
    )
}
