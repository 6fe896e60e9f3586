import { parseArgs } from 'node:util'
import { loginTargets, makeLogins } from '../app/database-logins.ts'
import { databasesAnswer, stoppable } from '../app/database-wait.ts'
import { migrationTargets, runMigrations, type Target } from '../app/migrations.ts'
import { ConfigError, databaseProblems, inspectConfig } from '../config.ts'
import { exitStatus } from '../platform/boot/exit-status.ts'
import { DatabaseStartError } from '../platform/db/startup.ts'

type Env = Readonly<Record<string, string | undefined>>

const help = `usage: node dist/migrate.js [--logins]

Applies the missing migrations of the selected services (SERVICE), each in its database (<MODULE>_DATABASE_URL, or
DATABASE_URL).

--logins  then creates a login for each service with rights only on its own schema and, without REDIS_URL, on the
          schema of the queues in DATABASE_URL. DATABASE_URL has the login of the schemas' owner, which may create roles;
          <MODULE>_DATABASE_URL has the login to create, with its password. Safe to repeat, also to change a password.
`

const optionsOf = (args: readonly string[]) => {
  try {
    return parseArgs({ args: [...args], options: { logins: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } }).values
  } catch {
    return undefined
  }
}

/** Waits for databases whose logins already exist: the services' logins may be created later by this command. */
const answering = (env: Env, targets: readonly Target[]) => {
  const own = Object.fromEntries(targets.map(({ module, url }) => [`${module.toUpperCase()}_DATABASE_URL`, url]))
  return stoppable(databasesAnswer(inspectConfig({ ...env, ...own }).config, console.error))
}

/** @returns what was done */
const migrate = async (env: Env, logins: boolean): Promise<string> => {
  const { config, problems } = inspectConfig(env)
  const all = [...problems, ...databaseProblems(config)]
  if (all.length > 0) throw new ConfigError(all)
  const wanted = logins ? loginTargets(config) : []
  const targets: readonly Target[] = logins ? wanted : migrationTargets(config)
  await answering(env, targets)
  await runMigrations(targets)
  if (logins) await makeLogins(wanted, config)
  const made = logins ? `; logins: ${wanted.map(({ login }) => login).join(', ')}` : ''
  return targets.length > 0
    ? `migrated: ${targets.map(({ module }) => module).join(', ')}${made}`
    : `nothing to migrate: ${config.selected.join(', ')} keeps no data`
}

/** @returns the exit status */
export const main = async (args: readonly string[], env: Env): Promise<number> => {
  const options = optionsOf(args)
  if (!options || options.help) {
    console[options ? 'log' : 'error'](help)
    return options ? exitStatus.ok : exitStatus.usage
  }
  try {
    console.log(await migrate(env, options.logins ?? false))
    return exitStatus.ok
  } catch (error) {
    const lasting = error instanceof ConfigError || (error instanceof DatabaseStartError && error.lasting)
    const known = error instanceof ConfigError || error instanceof DatabaseStartError
    console.error(known ? error.message : `migration failed: ${(error as Error).message}`)
    return lasting ? exitStatus.config : exitStatus.failed
  }
}
