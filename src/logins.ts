import type postgres from 'postgres'
import { type Config, ConfigError } from './config.ts'
import { storingServices } from './environment.ts'
import { connect, locked, type Target } from './migrations.ts'
import { explained } from './platform/database-start.ts'
import { schema as queueSchema, upToDate } from './platform/queue-postgres-schema.ts'

/** A module's own login, and its database as the owner of the schemas reaches it. */
export interface LoginTarget extends Target {
  readonly login: string
  readonly password: string
}

/** By hand: a URL of several hosts is none to URL. */
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
 * `DATABASE_URL` is the owner's, and `<MODULE>_DATABASE_URL` names the login that the module is to have, with its password.
 * @throws ConfigError with every mistake
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

const makeLogin = async (client: postgres.Sql, login: string, password: string): Promise<void> => {
  // Not in a statement with parameters, which CREATE ROLE does not take; the server quotes.
  const [made] = await client`select exists (select from pg_roles where rolname = ${login}) as there,
    format('%I with login password %L', ${login}::text, ${password}::text) as role`
  await client.unsafe(`${made?.there ? 'alter' : 'create'} role ${made?.role}`)
}

const dataRights = async (client: postgres.Sql, schema: string, login: string): Promise<void> => {
  const [at, to] = [client(schema), client(login)]
  await client`grant usage on schema ${at} to ${to}`
  await client`grant select, insert, update, delete on all tables in schema ${at} to ${to}`
  await client`grant usage, select on all sequences in schema ${at} to ${to}`
  // For what the owner's next migration makes.
  await client`alter default privileges in schema ${at} grant select, insert, update, delete on tables to ${to}`
  await client`alter default privileges in schema ${at} grant usage, select on sequences to ${to}`
}

const grantOwn = async (client: postgres.Sql, { module, login }: LoginTarget): Promise<void> => {
  const [database] = await client`select current_database() as name`
  await client`grant connect on database ${client(database?.name)} to ${client(login)}`
  // Less than its schema: drizzle/audit/rights.sql.
  if (module === 'audit') await client`grant orderhub_audit to ${client(login)}`
  else await dataRights(client, `${module}s`, login)
  // To see whether the database is up to date.
  await client`grant usage on schema orderhub_migrations to ${client(login)}`
  await client`grant select on ${client(`orderhub_migrations.${module}`)} to ${client(login)}`
}

/** Where events travel through PostgreSQL: one schema that all share, made by the owner. */
const grantQueue = async (url: string, logins: readonly string[]): Promise<void> => {
  await upToDate(url)
  const client = connect(url)
  try {
    await locked(client, async () => {
      const [database] = await client`select current_database() as name`
      for (const login of logins) {
        await client`grant connect on database ${client(database?.name)} to ${client(login)}`
        await dataRights(client, queueSchema, login)
      }
    })
  } finally {
    await client.end({ timeout: 5 })
  }
}

/**
 * Sees to it that each module has a login with the rights on its own schema alone; the schemas must be migrated. Can be
 * repeated: a new password takes the place of the old one. @throws DatabaseStartError, or what PostgreSQL says
 */
export const makeLogins = async (targets: readonly LoginTarget[], { databaseUrl, redisUrl }: Config): Promise<void> => {
  for (const target of targets) {
    const { module, url, login, password } = target
    const client = connect(url)
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
