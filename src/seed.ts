import { createApp } from './app.ts'
import { ConfigError } from './config.ts'
import { storingServices } from './environment.ts'
import { migrationTargets, runMigrations } from './migrate.ts'
import { createLog } from './platform/log.ts'
import { prepare } from './run.ts'

/** `npm run seed`: writes the sample data into empty databases of the selected modules, with their migrations first. */
const main = async () => {
  const { config, embedded } = await prepare(process.env)
  await runMigrations(migrationTargets(config))
  const app = await createApp({ config, log: createLog('warn', 'seed') })
  await app.seed()
  await app.stop()
  await embedded?.stop()
  console.log(`seeded, where empty: ${config.selected.filter((name) => storingServices.includes(name)).join(', ')}`)
}

await main().catch((error: Error) => {
  console.error(error.message)
  process.exit(error instanceof ConfigError ? 78 : 1)
})
