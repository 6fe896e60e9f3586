import { join } from 'node:path'
import type { Logger } from 'pino'
import { npmLine } from '../commands/command-line.ts'
import { type Config, ConfigError, modulesWithoutDatabase, readConfig } from '../config.ts'
import { serviceNames } from '../environment.ts'
import { exitStatus } from '../platform/boot/exit-status.ts'
import { createShutdown, type Shutdown } from '../platform/boot/shutdown.ts'
import { whyNotOurs } from '../platform/db/data-folder.ts'
import { type EmbeddedPostgres, joinEmbeddedPostgres, startEmbeddedPostgres } from '../platform/db/embedded-postgres.ts'
import { knownDatabase } from '../platform/db/embedded-postgres-place.ts'
import { faultOf } from '../platform/db/fault.ts'
import { DatabaseStartError } from '../platform/db/startup.ts'
import { Failure } from '../platform/errors.ts'
import { initKeys } from '../platform/keys/key-files.ts'
import { KeysError } from '../platform/keys/keys-error.ts'
import { createLog } from '../platform/observability/log.ts'
import { createApp } from './app.ts'
import { banner, passwordLine } from './banner.ts'
import { checkStart } from './check-start.ts'
import { databasesAnswer, databasesOpen, stoppable } from './database-wait.ts'
import { migrationTargets, modulesBehind, runMigrations } from './migrations.ts'
import { takenPortLine } from './port-taken.ts'
import { checkKeys } from './required-keys.ts'
import { stopOnSignal } from './stop-on-signal.ts'

type Env = Readonly<Record<string, string | undefined>>

interface Prepared {
  readonly config: Config
  readonly embedded: EmbeddedPostgres | undefined
}

interface PrepareOptions {
  readonly shutdown: Shutdown
  /** For a command about an existing instance: uses its embedded database, also while it runs, and creates none. */
  readonly existing?: boolean
}

/** Reads the configuration; starts a database if none is configured, outside production. */
export const prepare = async (env: Env, { shutdown, existing = false }: PrepareOptions): Promise<Prepared> => {
  const config = await checkStart(env)
  const needsEmbeddedDatabase = modulesWithoutDatabase(config).length > 0
  const foreign = config.makeKeys ? await whyNotOurs(config.dataDir, needsEmbeddedDatabase) : undefined
  if (foreign) throw new ConfigError([foreign])
  if (existing && needsEmbeddedDatabase && !(await knownDatabase(config.dataDir)))
    throw new ConfigError([`${config.dataDir} has no database yet (DATA_DIR): npm start creates one`])
  if (config.makeKeys) {
    await initKeys(config.keysDir, serviceNames)
    checkKeys(config)
  }
  if (!needsEmbeddedDatabase) return { config, embedded: undefined }
  const running = existing ? await joinEmbeddedPostgres(config.dataDir) : undefined
  const embedded = running ?? (await startEmbeddedPostgres(config.dataDir))
  shutdown.add({ name: 'embedded database', limitMs: 10_000, run: embedded.stop })
  const auditAnchor = config.auditAnchor ?? join(config.dataDir, 'audit-anchor')
  return { config: readConfig({ ...env, DATABASE_URL: embedded.url, AUDIT_ANCHOR: auditAnchor }), embedded }
}

export const checkSchema = async (config: Config): Promise<void> => {
  const behind = await modulesBehind(migrationTargets(config))
  if (behind.length > 0) {
    throw new ConfigError([
      `the database lacks migrations of ${behind.join(', ')}: run \`npm run migrate\` (node dist/migrate.js) first`,
    ])
  }
}

const checkDatabases = async (config: Config, onWait: (line: string) => void): Promise<void> => {
  await databasesAnswer(config, onWait)
  await checkSchema(config)
  await databasesOpen(config, onWait)
}

/** The variables that identify this instance, for commands about it. */
export const foldersOf = ({ DATA_DIR, KEYS_DIR }: Env) => ({ DATA_DIR, KEYS_DIR })

/** @throws ConfigError for an unusable ADMIN_PASSWORD, otherwise the error itself */
export const refuseWeakPassword = (error: unknown): never => {
  if (error instanceof Failure && error.code.startsWith('user.password_'))
    throw new ConfigError([`ADMIN_PASSWORD: ${error.kind.en}`])
  throw error
}

const serve = async (env: Env, log: Logger, shutdown: Shutdown): Promise<void> => {
  const { config, embedded } = await prepare(env, { shutdown })
  if (embedded) {
    log.info({ directory: embedded.directory }, 'DATABASE_URL is not set: started an embedded PostgreSQL')
    for (const note of embedded.notes) log.warn(note)
  } else await stoppable(checkDatabases(config, (line) => log.warn(line)))
  const app = await createApp({ config, log, shutdown })
  await app.listen()
  if (embedded) await runMigrations(migrationTargets(config))
  if (config.seed ?? embedded !== undefined) await app.seed()
  const signIn = config.auth ? await app.firstSignIn(embedded !== undefined).catch(refuseWeakPassword) : undefined
  // At once: a later failure must not lose the only copy.
  if (signIn?.password !== undefined) process.stdout.write(passwordLine(signIn))
  if (config.auth && config.selected.includes('user') && !signIn)
    log.warn('there is no administrator: set ADMIN_EMAIL and ADMIN_PASSWORD')
  const { url, metricsPort } = await app.start()
  stopOnSignal({ delayMs: config.shutdownDelayMs + config.requestTimeoutMs + 30_000, log, stop: shutdown.run })
  log.info({ url, metrics_port: metricsPort, services: config.selected }, 'ready')
  if (embedded) process.stdout.write(banner({ url, metricsPort, signIn, resetLine: npmLine('run reset-admin', foldersOf(env)) }))
}

/** Starts the selected services, until a signal. If that fails, it closes everything that is open. */
export const start = async (env: Env, log: Logger, endTelemetry?: () => Promise<void>): Promise<void> => {
  const shutdown = createShutdown(log)
  if (endTelemetry) shutdown.add({ name: 'telemetry', limitMs: 2000, run: endTelemetry })
  try {
    await serve(env, log, shutdown)
  } catch (error) {
    await shutdown.run()
    throw error
  }
}

/** One line for errors with an outside cause; undefined for bugs. */
const outsideReason = (error: unknown): string | undefined => {
  const { code, message, port } = error as { code?: string; message?: string; port?: number }
  if (code === 'EADDRINUSE') return `port ${port} is in use: set PORT or METRICS_PORT, or end the other process`
  if (code === 'EACCES') return `port ${port} may not be opened by this account: set PORT`
  const fault = faultOf(error)
  if (fault) return `the database: ${fault.step} failed: ${fault.reason}`
  if (message?.startsWith('the embedded PostgreSQL')) return message
  return undefined
}

/**
 * In development: which program uses the port and how to start with another one; the configuration was read before any port was
 * bound.
 */
const portReason = async (error: unknown, env: Env): Promise<string | undefined> => {
  const { code, port } = error as { code?: string; port?: number }
  if (code !== 'EADDRINUSE' || port === undefined) return undefined
  const config = readConfig(env)
  return config.production ? undefined : takenPortLine(port, config, env)
}

interface StartFailure {
  readonly status: number
  /** The error text for the operator; undefined for a bug. */
  readonly line?: string | undefined
}

export const startFailure = async (error: unknown, env: Env): Promise<StartFailure> => {
  if (error instanceof ConfigError || error instanceof KeysError) return { status: exitStatus.config, line: error.message }
  if (error instanceof DatabaseStartError)
    return { status: error.lasting ? exitStatus.config : exitStatus.failed, line: error.message }
  return { status: exitStatus.failed, line: (await portReason(error, env)) ?? outsideReason(error) }
}

/** Starts the services that the environment selects and runs until a signal. */
export const run = async (env: Env, endTelemetry?: () => Promise<void>): Promise<void> => {
  const log = createLog(env.LOG_LEVEL ?? 'info', env.SERVICE ?? 'all')
  try {
    await start(env, log, endTelemetry)
  } catch (error) {
    const { status, line } = await startFailure(error, env)
    if (line) console.error(line)
    else log.fatal({ err: error }, 'start failed')
    process.exit(status)
  }
}
