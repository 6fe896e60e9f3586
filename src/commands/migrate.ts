import { ConfigError, databaseProblems, inspectConfig } from '../config.ts'
import { databasesAnswer, stoppable } from '../database-wait.ts'
import { migrationTargets, runMigrations } from '../migrations.ts'
import { DatabaseStartError } from '../platform/database-start.ts'
import { exitStatus } from '../platform/exit-status.ts'

type Env = Readonly<Record<string, string | undefined>>

/** @returns what was done */
const migrate = async (env: Env): Promise<string> => {
  const { config, problems } = inspectConfig(env)
  const all = [...problems, ...databaseProblems(config)]
  if (all.length > 0) throw new ConfigError(all)
  const targets = migrationTargets(config)
  await stoppable(databasesAnswer(config, console.error))
  await runMigrations(targets)
  return targets.length > 0
    ? `migrated: ${targets.map(({ module }) => module).join(', ')}`
    : `nothing to migrate: ${config.selected.join(', ')} keeps no data`
}

/** @returns the exit status */
export const main = async (_args: readonly string[], env: Env): Promise<number> => {
  try {
    console.log(await migrate(env))
    return exitStatus.ok
  } catch (error) {
    const lasting = error instanceof ConfigError || (error instanceof DatabaseStartError && error.lasting)
    const known = error instanceof ConfigError || error instanceof DatabaseStartError
    console.error(known ? error.message : `migration failed: ${(error as Error).message}`)
    return lasting ? exitStatus.config : exitStatus.failed
  }
}
