import { parseArgs } from 'node:util'
import { createApp } from '../app/app.ts'
import { migrationTargets, modulesBehind } from '../app/migrations.ts'
import { splitDatabase } from '../app/split-databases.ts'
import { checkSchema, prepare } from '../app/start.ts'
import { type Config, ConfigError, readConfig } from '../config.ts'
import { exitStatus } from '../platform/boot/exit-status.ts'
import { createShutdown } from '../platform/boot/shutdown.ts'
import type { EmbeddedPostgres } from '../platform/db/embedded-postgres.ts'
import { KeysError } from '../platform/keys/keys-error.ts'
import { createLog } from '../platform/observability/log.ts'

type Env = Readonly<Record<string, string | undefined>>

const help = `usage: npm run reset-admin [-- [--email ADDRESS] [--split]]
       node dist/reset-admin.js [--email ADDRESS] [--split]

Gives an administrator a new password and prints it: the one with this address, or the first one. Ends their sessions and removes
nothing else. Works while the platform runs and while it is stopped, with the configuration of the user service. --split: for
\`npm run start:split\`, if the folder has the data of both.`

interface Given {
  readonly email?: string | undefined
  readonly split?: boolean | undefined
  readonly help?: boolean | undefined
}

const parse = (args: readonly string[]): Given | string => {
  try {
    const options = { email: { type: 'string' }, split: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const
    return parseArgs({ args: [...args], options }).values
  } catch (error) {
    return (error as Error).message
  }
}

/** The user service's embedded database: the first one, or its own if services are separate. */
const configOf = async (config: Config, embedded: EmbeddedPostgres, env: Env, split: boolean): Promise<Config> => {
  const own = await splitDatabase(embedded.url, 'user')
  if (split && !own) throw new ConfigError([`${config.dataDir} has no separate databases: npm run start:split creates them`])
  const used = own && (split || (await modulesBehind(migrationTargets(config))).length > 0)
  return used ? readConfig({ ...env, DATABASE_URL: embedded.url, USER_DATABASE_URL: own }) : config
}

const reset = async (given: Env, { email, split = false }: Given): Promise<string> => {
  const env = { ...given, SERVICE: 'user' }
  const log = createLog('error', 'reset-admin')
  const shutdown = createShutdown(log)
  try {
    const { config: first, embedded } = await prepare(env, { shutdown, existing: true })
    const config = embedded ? await configOf(first, embedded, env, split) : first
    await checkSchema(config)
    const app = await createApp({ config, log, shutdown })
    const found = await app.resetAdmin(email)
    if (found) return `The administrator ${found.email} was given the password ${found.password}`
    throw new ConfigError([
      email ? `${email} is not an administrator` : 'there is no administrator: set ADMIN_EMAIL and ADMIN_PASSWORD and start',
    ])
  } finally {
    await shutdown.run()
  }
}

/** @returns the exit status */
export const main = async (args: readonly string[], env: Env): Promise<number> => {
  const given = parse(args)
  if (typeof given === 'string') {
    console.error(`${given}\n\n${help}`)
    return exitStatus.usage
  }
  try {
    console.log(given.help ? help : await reset(env, given))
    return exitStatus.ok
  } catch (error) {
    console.error((error as Error).message)
    return error instanceof ConfigError || error instanceof KeysError ? exitStatus.config : exitStatus.failed
  }
}
