/**
 * `npm run start:split`: the platform as six processes on this machine, each service with a database of its own in one
 * embedded PostgreSQL (or in DATABASE_URL, shared). Events travel through REDIS_URL where it is set, else through PostgreSQL.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import { readConfig } from '../config.ts'
import { ports, type ServiceName, serviceNames, storingServices } from '../environment.ts'
import { migrationTargets, runMigrations } from '../migrate.ts'
import { startEmbeddedPostgres } from '../platform/embedded-postgres.ts'

const host = '127.0.0.1'
const { dataDir } = readConfig(process.env)

const embedded = process.env.DATABASE_URL ? undefined : await startEmbeddedPostgres(dataDir)
for (const note of embedded?.notes ?? []) console.warn(note)
const shared = process.env.DATABASE_URL ?? (embedded?.url as string)

const ownDatabase = async (name: string): Promise<string> => {
  const client = postgres(shared, { max: 1, onnotice: () => {} })
  const known = await client`select from pg_database where datname = ${`orderhub_${name}`}`
  if (known.length === 0) await client`create database ${client(`orderhub_${name}`)}`
  await client.end()
  const url = new URL(shared)
  url.pathname = `/orderhub_${name}`
  return url.href
}

const databases: Record<string, string> = {}
if (embedded) {
  for (const name of storingServices) {
    databases[`${name.toUpperCase()}_DATABASE_URL`] = await ownDatabase(name)
  }
}
const urls = Object.fromEntries(
  serviceNames.map((name) => [`${name.toUpperCase()}_SERVICE_URL`, `http://${host}:${ports[name]}`]),
)
const publicUrl = `http://${host}:${ports.gateway}`
const environment = { PUBLIC_URL: publicUrl, ...process.env, DATABASE_URL: shared, ...databases }
await runMigrations(migrationTargets(readConfig({ ...environment, SERVICE: 'all' })))

const main = fileURLToPath(new URL('../main.ts', import.meta.url))
const children = new Map<ServiceName, ChildProcess>()
for (const name of serviceNames) {
  const child = spawn(process.execPath, [main], {
    env: { ...environment, ...urls, SERVICE: name, METRICS_PORT: '0', SEED: process.env.SEED ?? String(embedded !== undefined) },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  child.once('exit', (status) => {
    children.delete(name)
    if (status) console.error(`${name} ended with status ${status}`)
    void stop()
  })
  children.set(name, child)
}

let stopping = false
const stop = async () => {
  if (!stopping) for (const child of children.values()) child.kill('SIGTERM')
  stopping = true
  if (children.size === 0) await embedded?.stop()
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop())

console.log(`\n  OrderHub, split, at ${publicUrl} (API reference: ${publicUrl}/docs)\n`)
