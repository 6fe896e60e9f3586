import { createApp } from '../app/app.ts'
import { migrationTargets, runMigrations } from '../app/migrations.ts'
import { prepare } from '../app/start.ts'
import { ConfigError } from '../config.ts'
import { storingServices } from '../environment.ts'
import { exitStatus } from '../platform/boot/exit-status.ts'
import { createShutdown } from '../platform/boot/shutdown.ts'
import { createLog } from '../platform/observability/log.ts'

type Env = Readonly<Record<string, string | undefined>>

/** Writes the sample data into empty databases of the selected modules, after their migrations. @returns what was done */
const seed = async (env: Env): Promise<string> => {
  const log = createLog('warn', 'seed')
  const shutdown = createShutdown(log)
  try {
    const { config } = await prepare(env, { shutdown })
    await runMigrations(migrationTargets(config))
    const app = await createApp({ config, log, shutdown })
    await app.seed()
    return `seeded, where empty: ${config.selected.filter((name) => storingServices.includes(name)).join(', ')}`
  } finally {
    await shutdown.run()
  }
}

/** @returns the exit status */
export const main = async (_args: readonly string[], env: Env): Promise<number> => {
  try {
    console.log(await seed(env))
    return exitStatus.ok
  } catch (error) {
    console.error((error as Error).message)
    return error instanceof ConfigError ? exitStatus.config : exitStatus.failed
  }
}
