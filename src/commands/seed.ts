import { createApp } from '../app.ts'
import { ConfigError } from '../config.ts'
import { storingServices } from '../environment.ts'
import { migrationTargets, runMigrations } from '../migrations.ts'
import { exitStatus } from '../platform/exit-status.ts'
import { createLog } from '../platform/log.ts'
import { prepare } from '../run.ts'

type Env = Readonly<Record<string, string | undefined>>

/** Writes the sample data into empty databases of the selected modules, with their migrations first. @returns what was done */
const seed = async (env: Env): Promise<string> => {
  const { config, embedded } = await prepare(env)
  try {
    await runMigrations(migrationTargets(config))
    const app = await createApp({ config, log: createLog('warn', 'seed') })
    await app.seed().finally(() => app.stop())
    return `seeded, where empty: ${config.selected.filter((name) => storingServices.includes(name)).join(', ')}`
  } finally {
    await embedded?.stop()
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
