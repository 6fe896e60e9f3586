/**
 * `npm run start:split`: the platform as six processes on this machine, each service with its own database in one embedded
 * PostgreSQL (or in DATABASE_URL, shared). Events go through REDIS_URL if it is set, otherwise through PostgreSQL.
 */
import { createApp } from '../src/app/app.ts'
import { banner, passwordLine } from '../src/app/banner.ts'
import { migrationTargets, runMigrations } from '../src/app/migrations.ts'
import { foldersOf, prepare, refuseWeakPassword, startFailure } from '../src/app/start.ts'
import { onFirstSignal } from '../src/app/stop-on-signal.ts'
import { npmLine } from '../src/commands/command-line.ts'
import { readConfig } from '../src/config.ts'
import { storingServices } from '../src/environment.ts'
import { createShutdown } from '../src/platform/boot/shutdown.ts'
import type { FirstSignIn } from '../src/platform/module.ts'
import { createLog } from '../src/platform/observability/log.ts'
import { checkEnvironments, type Environments, findPlaces, type Places, splitEnvironments } from './split-environments.ts'
import { type Processes, startProcesses } from './split-processes.ts'

const log = createLog(process.env.LOG_LEVEL ?? 'info', 'start-split')
/** Always npm's command, for the line about free ports, also if it was started without npm. */
const env = { ...process.env, npm_lifecycle_event: 'start:split', SERVICE: undefined }

/** Migrations, sample data and the administrator, before the processes start: one password, generated and printed once. */
const makeReady = async (environments: Environments, ours: boolean): Promise<FirstSignIn | undefined> => {
  await runMigrations(migrationTargets(readConfig(environments.together)))
  const config = readConfig(environments.of('user'))
  const app = await createApp({ config, log: createLog('warn', 'user') })
  try {
    if (config.seed) await app.seed()
    const signIn = config.auth ? await app.firstSignIn(ours).catch(refuseWeakPassword) : undefined
    if (signIn?.password !== undefined) process.stdout.write(passwordLine(signIn))
    return signIn
  } finally {
    await app.stop()
  }
}

const show = ({ gateway, ...services }: Places, signIn: FirstSignIn | undefined): void => {
  const resetLine = npmLine('run reset-admin -- --split', foldersOf(env))
  const more = Object.entries(services).map(([name, { url }]) => [name, url] as const)
  process.stdout.write(banner({ url: gateway.url, metricsPort: gateway.metricsPort, more, signIn, resetLine }))
}

const shutdown = createShutdown(log)
let processes: Processes | undefined
let ending = false

const end = async (status: number): Promise<void> => {
  if (ending) return
  ending = true
  await processes?.stop()
  await shutdown.run()
  if (processes || status === 0) log.info('stopped')
  process.exit(status)
}

const start = async (): Promise<void> => {
  const places = await findPlaces(readConfig({ ...env, SERVICE: 'all' }))
  const prepared = await prepare({ ...env, SERVICE: 'all' }, { shutdown })
  const { embedded } = prepared
  for (const note of embedded?.notes ?? []) log.warn(note)
  if (embedded) log.info({ directory: embedded.directory, databases: storingServices }, 'started an embedded PostgreSQL')
  const environments = await splitEnvironments(env, prepared, places)
  checkEnvironments(environments)
  const signIn = await makeReady(environments, embedded !== undefined)
  if (ending) return
  processes = startProcesses(environments.of, (line) => {
    console.error(`${line}: the others are ended, too`)
    void end(1)
  })
  await processes.ready((name) => places[name].url)
  if (!ending) show(places, signIn)
}

onFirstSignal((signal) => {
  log.info({ signal }, 'stopping')
  void end(0)
})
await start().catch(async (error) => {
  const { status, line } = await startFailure(error, env)
  if (line) console.error(line)
  else log.fatal({ err: error }, 'start failed')
  await end(status)
})
