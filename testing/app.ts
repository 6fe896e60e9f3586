import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import type { Test } from 'tap'
// Not the built-in fetch: after a DELETE with a body, it opens a connection for every request (undici 7.29 in Node.js 24.21).
import { fetch } from 'undici'
import { type App, type AppOptions, createApp } from '../src/app/app.ts'
import { migrationTargets, runMigrations } from '../src/app/migrations.ts'
import { readConfig } from '../src/config.ts'
import { serviceNames, storingServices } from '../src/environment.ts'
import { initKeys } from '../src/platform/keys/key-files.ts'
import { startPostgres } from './postgres.ts'

export interface Answer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: a test reads any response
  readonly body: any
  readonly headers: Headers
}

/** Sends one HTTP request; a body is sent as JSON. */
export const call = async (
  url: string,
  method = 'GET',
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> => {
  const response = await fetch(url, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, body: text.startsWith('{') ? JSON.parse(text) : text, headers: response.headers }
}

export interface RunningApp {
  readonly url: string
  readonly metricsUrl: string
  readonly databaseUrl: string
  readonly dataDir: string
  readonly keysDir: string
  readonly app: App
  /** `path` is below /api/v1. */
  api(path: string, method?: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
}

/** The whole platform in this process, on a new database with sample data; closed when the test ends. */
export const runApp = async (
  t: Test,
  env: Record<string, string> = {},
  options: Partial<AppOptions> = {},
): Promise<RunningApp> => {
  const dataDir = mkdtempSync(join(tmpdir(), 'orderhub-data-'))
  const configOf = (databaseUrl: string) =>
    readConfig({
      DATABASE_URL: databaseUrl,
      DATA_DIR: dataDir,
      PORT: '0',
      METRICS_PORT: '0',
      RATE_LIMIT_PER_MINUTE: '0',
      AUTH: 'off',
      ...env,
    })
  const { selected } = configOf('postgres://to-be-made')
  const postgres = await startPostgres()
  const databaseUrl = await postgres.createDatabase(
    'orderhub',
    selected.filter((name) => storingServices.includes(name)),
  )
  const config = configOf(databaseUrl)
  // The database may belong to another app and lack these modules.
  if (env.DATABASE_URL) await runMigrations(migrationTargets(config))
  await initKeys(config.keysDir, serviceNames)
  const app = await createApp({ config, log: pino({ level: process.env.TEST_LOG ?? 'silent' }), ...options })
  await app.seed()
  const { url, metricsPort } = await app.start()
  t.teardown(async () => {
    await app.stop()
    await postgres.stop()
    await rm(dataDir, { recursive: true, force: true })
  })
  return {
    url,
    metricsUrl: `http://127.0.0.1:${metricsPort}/metrics`,
    databaseUrl,
    dataDir,
    keysDir: config.keysDir,
    app,
    api: (path, method, body, headers) => call(`${url}/api/v1${path}`, method, body, headers),
  }
}
