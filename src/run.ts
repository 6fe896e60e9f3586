import { join } from 'node:path'
import closeWithGrace from 'close-with-grace'
import type { Logger } from 'pino'
import { type App, createApp } from './app.ts'
import { type Config, ConfigError, readConfig } from './config.ts'
import { databasesAnswer, databasesOpen, stoppable } from './database-wait.ts'
import { serviceNames, storingServices } from './environment.ts'
import { migrationTargets, modulesBehind, runMigrations } from './migrate.ts'
import { checkKeys } from './needed-keys.ts'
import { whyNotOurs } from './platform/data-folder.ts'
import { DatabaseStartError, faultOf } from './platform/database-start.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './platform/embedded-postgres.ts'
import { initKeys } from './platform/keys/key-files.ts'
import { KeysError } from './platform/keys/keys-error.ts'
import { createLog } from './platform/log.ts'
import type { FirstSignIn } from './platform/module.ts'
import { checkTopology } from './topology.ts'

type Env = Readonly<Record<string, string | undefined>>

/** Something that whoever starts us must put right. */
const configurationStatus = 78

interface Prepared {
  readonly config: Config
  readonly embedded: EmbeddedPostgres | undefined
}

/** Reads the configuration; where no database is named, outside production, starts one. */
export const prepare = async (env: Env): Promise<Prepared> => {
  const config = readConfig(env)
  await checkTopology(config)
  const homeless = config.selected.some((name) => storingServices.includes(name) && !config.databaseUrlOf(name))
  const foreign = config.makeKeys ? await whyNotOurs(config.dataDir, homeless) : undefined
  if (foreign) throw new ConfigError([foreign])
  if (config.makeKeys) await initKeys(config.keysDir, serviceNames)
  checkKeys(config)
  if (!homeless || config.production) return { config, embedded: undefined }
  const embedded = await startEmbeddedPostgres(config.dataDir)
  const auditAnchor = config.auditAnchor ?? join(config.dataDir, 'audit-anchor')
  return { config: readConfig({ ...env, DATABASE_URL: embedded.url, AUDIT_ANCHOR: auditAnchor }), embedded }
}

const checkSchema = async (config: Config): Promise<void> => {
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

/** How to sign in; a password stands here once, where it was made up just now. */
const signingIn = (url: string, { email, password }: FirstSignIn): string => `
  Sign in as ${email}${
    password === undefined
      ? `. The password was shown at the first start; this has a new one mailed (DATA_DIR/mail):
    curl -X POST ${url}/api/v1/auth/password/forgot -H 'content-type: application/json' -d '{"email":"${email}"}'
  Put it in place of PASSWORD:`
      : `. This is shown once, keep the password: ${password}`
  }
    TOKEN=$(curl -sS -X POST ${url}/api/v1/auth/login -H 'content-type: application/json' -d '{"email":"${email}","password":"${password ?? 'PASSWORD'}"}' | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')
`

/** What a person at a terminal wants to know; once, after the log lines of the start. */
const banner = (url: string, metricsPort: number, signIn: FirstSignIn | undefined): string => {
  const bearer = signIn ? ' -H "authorization: Bearer $TOKEN"' : ''
  return `
  OrderHub is ready: ${url}
  API reference:     ${url}/docs
  Metrics:           http://127.0.0.1:${metricsPort}/metrics
${signIn ? signingIn(url, signIn) : ''}
  Try it:
    curl ${url}/api/v1/products
    curl -X POST ${url}/api/v1/orders${bearer} -H 'content-type: application/json' -H 'idempotency-key: try-1' -d '{"user_id":3,"items":[{"product_id":2,"quantity":2}]}'
    curl ${url}/api/v1/notifications${bearer}
`
}

const start = async (env: Env, log: Logger, endTelemetry: (() => Promise<void>) | undefined): Promise<void> => {
  const { config, embedded } = await prepare(env)
  let app: App | undefined
  const stop = async () => {
    await app?.stop()
    await embedded?.stop()
    await endTelemetry?.()
  }
  try {
    if (embedded) {
      log.info({ directory: embedded.directory }, 'no DATABASE_URL: an embedded PostgreSQL was started')
      for (const note of embedded.notes) log.warn(note)
      await runMigrations(migrationTargets(config))
    } else await stoppable(checkDatabases(config, (line) => log.warn(line)))
    app = await createApp({ config, log })
    if (config.seed ?? embedded !== undefined) await app.seed()
    const signIn = config.auth ? await app.firstSignIn(embedded !== undefined) : undefined
    if (config.auth && config.selected.includes('user') && !signIn)
      log.warn('no administrator can sign in: set ADMIN_EMAIL and ADMIN_PASSWORD')
    const { url, metricsPort } = await app.start()
    closeWithGrace({ delay: config.shutdownDelayMs + 30_000, logger: log as never }, async ({ err, signal }) => {
      log.info({ signal, ...(err ? { err } : {}) }, 'stopping')
      await stop()
      log.info('stopped')
    })
    log.info({ url, metrics_port: metricsPort, services: config.selected }, 'ready')
    if (embedded) process.stdout.write(`${banner(url, metricsPort, signIn)}\n`)
  } catch (error) {
    await stop().catch(() => {})
    throw error
  }
}

/** One line that says what is wrong, for errors whose cause lies outside; undefined for our own. */
const outsideReason = (error: unknown): string | undefined => {
  const { code, message, port } = error as { code?: string; message?: string; port?: number }
  if (code === 'EADDRINUSE') return `port ${port} is in use: set PORT or METRICS_PORT, or end the other process`
  if (code === 'EACCES') return `port ${port} may not be opened by this account: set PORT`
  const fault = faultOf(error)
  if (fault) return `the database: ${fault.step} failed: ${fault.reason}`
  if (message?.startsWith('the embedded PostgreSQL')) return message
  return undefined
}

/** Starts the services that the environment selects and runs until a signal. */
export const run = async (env: Env, endTelemetry?: () => Promise<void>): Promise<void> => {
  const log = createLog(env.LOG_LEVEL ?? 'info', env.SERVICE ?? 'all')
  try {
    await start(env, log, endTelemetry)
  } catch (error) {
    if (error instanceof ConfigError || error instanceof KeysError) {
      console.error(error.message)
      process.exit(configurationStatus)
    }
    if (error instanceof DatabaseStartError) {
      console.error(error.message)
      process.exit(error.lasting ? configurationStatus : 1)
    }
    const reason = outsideReason(error)
    if (reason) console.error(reason)
    else log.fatal({ err: error }, 'the start failed')
    process.exit(1)
  }
}
