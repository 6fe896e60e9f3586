import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import t from 'tap'
import { serviceNames, storingServices } from '../../../src/environment.ts'
import { initKeys } from '../../../src/platform/keys/key-files.ts'
import { atEnd } from '../../../testing/at-end.ts'
import { childEnvironment } from '../../../testing/child-environment.ts'
import type { FailedStart, FailingStart } from '../../../testing/failing-start.ts'
import { startOwnPostgres } from '../../../testing/postgres.ts'
import { hasRedis, startRedis } from '../../../testing/redis.ts'

t.setTimeout(280_000)

const program = fileURLToPath(new URL('../../../testing/failing-start.ts', import.meta.url))
const startsWithinMs = 60_000
/** From the last failure to the end of the process. */
const endsWithinMs = 5000

const server = await startOwnPostgres()
t.teardown(() => server.stop())
const databaseUrl = await server.createDatabase('orderhub', storingServices)
const owner = postgres(databaseUrl, { max: 1, onnotice: () => {} })
await owner`create role bystander login password 'quiet-harbour'`
await owner`grant usage on schema orderhub_migrations, products to bystander`
await owner`grant select on all tables in schema orderhub_migrations, products to bystander`
await owner.end()
const changed = (fields: Partial<Record<'port' | 'username' | 'password', string>>) =>
  Object.assign(new URL(databaseUrl), fields).href
const keysDir = t.testdir()
await initKeys(keysDir, serviceNames)

const holder = createServer().listen(0, '127.0.0.1')
await once(holder, 'listening')
t.teardown(() => holder.close())
const taken = String((holder.address() as { port: number }).port)

const withRedis = hasRedis()
const redis = withRedis ? await startRedis() : undefined
const evicting = withRedis ? await startRedis({ args: ['--maxmemory-policy', 'allkeys-lru'] }) : undefined
t.teardown(() => Promise.all([redis?.stop(), evicting?.stop()]))
const queues: Record<string, string> = redis ? { REDIS_URL: redis.url } : {}

const elsewhere = Object.fromEntries(
  serviceNames
    .filter((name) => name !== 'gateway')
    .map((name) => [`${name.toUpperCase()}_SERVICE_URL`, 'http://127.0.0.1:1,http://127.0.0.1:2']),
)
const onPurpose = /fails on purpose/

/** Faults: environment variables, the expected error, and the part of a module that fails. */
const faults: Readonly<Record<string, [env: Record<string, string>, failure: RegExp, fault?: FailingStart['fault']]>> = {
  'a port in use': [{ ...queues, PORT: taken }, /EADDRINUSE/],
  'a metrics port in use': [{ ...queues, METRICS_PORT: taken }, /EADDRINUSE/],
  'a database that refuses connections': [{ PRODUCT_DATABASE_URL: changed({ port: '1' }) }, /product.*refuses it/],
  'a database where the login may not create the queues': [
    { SERVICE: 'product', DATABASE_URL: changed({ username: 'bystander', password: 'quiet-harbour' }) },
    /permission denied/,
  ],
  ...(evicting ? { 'a Redis that evicts': [{ REDIS_URL: evicting.url }, /noeviction/] } : {}),
  'an OIDC issuer without an audience': [{ OIDC_ISSUER: 'https://issuer.example' }, /OIDC_AUDIENCE/],
  ...Object.fromEntries(
    serviceNames.map((name) => [`${name} cannot be created`, [queues, onPurpose, `${name}.create`]] as const),
  ),
  'a gateway in front of other services': [{ SERVICE: 'gateway', ...queues, ...elsewhere }, onPurpose, 'gateway.create'],
  'routes that cannot be mounted': [queues, onPurpose, 'order.routes'],
  'sample data that cannot be written': [{ ...queues, SEED: 'true' }, onPurpose, 'order.seed'],
  'an administrator with a common password': [
    { ...queues, ADMIN_EMAIL: 'admin@example.com', ADMIN_PASSWORD: '12345678' },
    /ADMIN_PASSWORD/,
  ],
  'background work that cannot start': [queues, onPurpose, 'order.start'],
}

const environment = (env: Readonly<Record<string, string>>) => ({
  ...{ SERVICE: 'all', DATABASE_URL: databaseUrl, DATABASE_WAIT_SECONDS: '0', KEYS_DIR: keysDir, DATA_DIR: t.testdirName },
  ...{ PORT: '0', METRICS_PORT: '0', SHUTDOWN_DELAY_MS: '8000', ...env },
})

const starts: FailingStart[] = Object.values(faults).map(([env, , fault]) => ({
  env: environment(env),
  observerUrl: server.url,
  ...(fault ? { fault } : {}),
}))
const child = spawn(process.execPath, [program, JSON.stringify(starts)], {
  env: childEnvironment(),
  stdio: ['ignore', 'pipe', 'inherit'],
})
const kill = () => child.kill('SIGKILL')
const forget = atEnd(kill)
let timer = setTimeout(kill, startsWithinMs)
let output = ''
const lines = () => output.split('\n').filter((line) => line.startsWith('{'))
child.stdout.on('data', (chunk) => {
  output += chunk
  clearTimeout(timer)
  timer = setTimeout(kill, lines().length < starts.length ? startsWithinMs : endsWithinMs)
})
const [status] = await once(child, 'exit')
clearTimeout(timer)
forget()

for (const [n, [what, [, failure]]] of Object.entries(faults).entries())
  t.test(`${what}: the start fails and closes everything`, async (t) => {
    const failed: FailedStart = JSON.parse(lines()[n] ?? '{}')
    t.match(failed.failure, failure)
    t.same(failed.open, [])
    t.equal(failed.connections, 0)
  })

t.test('after all failed starts the process ends by itself', async (t) => t.equal(status, 0))
