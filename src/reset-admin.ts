import { realpath } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createApp } from './app.ts'
import { ConfigError } from './config.ts'
import { KeysError } from './platform/keys/keys-error.ts'
import { createLog } from './platform/log.ts'
import { checkSchema, prepare } from './run.ts'

const help = `usage: npm run reset-admin [-- --email ADDRESS]
       node dist/reset-admin.js [--email ADDRESS]

Gives an administrator a new password and prints it: the one with this address, or the first one. Ends their sign-ins and removes
nothing else. Works while the platform runs and while it is stopped, with the configuration of the user service.`

/** Exit statuses of sysexits.h, and 1 for what is outside. */
const status = { usage: 64, config: 78, failed: 1 } as const

const parse = (args: readonly string[]): { email?: string | undefined; help?: boolean | undefined } | string => {
  try {
    return parseArgs({ args: [...args], options: { email: { type: 'string' }, help: { type: 'boolean', short: 'h' } } }).values
  } catch (error) {
    return (error as Error).message
  }
}

const reset = async (env: Readonly<Record<string, string | undefined>>, email: string | undefined): Promise<string> => {
  const { config, embedded } = await prepare({ ...env, SERVICE: 'user' }, { existing: true })
  try {
    await checkSchema(config)
    const app = await createApp({ config, log: createLog('error', 'reset-admin') })
    try {
      const found = await app.resetAdmin(email)
      if (found) return `The administrator ${found.email} was given the password ${found.password}`
      throw new ConfigError([
        email ? `${email} is no administrator` : 'there is no administrator: set ADMIN_EMAIL and ADMIN_PASSWORD and start',
      ])
    } finally {
      await app.stop()
    }
  } finally {
    await embedded?.stop()
  }
}

/** @returns the exit status */
const main = async (args: readonly string[], env: Readonly<Record<string, string | undefined>>): Promise<number> => {
  const given = parse(args)
  if (typeof given === 'string') {
    console.error(`${given}\n\n${help}`)
    return status.usage
  }
  try {
    console.log(given.help ? help : await reset(env, given.email))
    return 0
  } catch (error) {
    console.error((error as Error).message)
    return error instanceof ConfigError || error instanceof KeysError ? status.config : status.failed
  }
}

if (process.argv[1] && (await realpath(process.argv[1]).catch(() => '')) === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2), process.env)
}
