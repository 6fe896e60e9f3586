import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { pino } from 'pino'
import t from 'tap'
import { createApp } from '../../../src/app/app.ts'
import { loadModule } from '../../../src/app/module-graph.ts'
import { readConfig } from '../../../src/config.ts'
import { type ServiceName, serviceNames, storingServices } from '../../../src/environment.ts'
import { initKeys } from '../../../src/platform/keys/key-files.ts'
import { registry } from '../../../src/registry.ts'
import { childEnvironment } from '../../../testing/child-environment.ts'
import { startPostgres } from '../../../testing/postgres.ts'
import { startService } from '../../../testing/service.ts'

// A process needs only what its own modules use, whatever else is in its environment: Secrets are shared by all services.

const nowhere = 'postgres://nobody:secret@127.0.0.1:1/none'
const away = Object.fromEntries(serviceNames.map((name) => [`${name.toUpperCase()}_SERVICE_URL`, 'http://127.0.0.1:1']))

const postgres = await startPostgres()
const database = await postgres.createDatabase('combinations', storingServices)
const keysDir = t.testdir()
await initKeys(keysDir, serviceNames)
t.teardown(() => postgres.stop())

/** An existing database for each of these services; all other database URLs, also DATABASE_URL, are unreachable. */
const databasesOf = (names: readonly ServiceName[]): Record<string, string> => ({
  DATABASE_URL: nowhere,
  REDIS_URL: 'redis://127.0.0.1:1',
  ...Object.fromEntries(
    storingServices.map((name) => [`${name.toUpperCase()}_DATABASE_URL`, names.includes(name) ? database : nowhere]),
  ),
})

/** Every combination of at least one service. */
const combinations = Array.from({ length: 2 ** serviceNames.length - 1 }, (_, n) =>
  serviceNames.filter((_name, bit) => ((n + 1) >> bit) & 1),
)

t.test('`storingServices` are the services with tables and migrations', async (t) => {
  const names = Object.keys(registry) as ServiceName[]
  const definitions = await Promise.all(names.map(async (name) => [name, await loadModule(name)] as const))
  const withTables = definitions.filter(([, { tables }]) => tables).map(([name]) => name)
  t.same([...storingServices].sort(), withTables.sort())
  t.same([...storingServices].sort(), readdirSync(new URL('../../../drizzle', import.meta.url)).sort())
})

t.test('each combination of services is ready with only its own databases', async (t) => {
  t.equal(combinations.length, 63)
  for (const selected of combinations) {
    const config = readConfig({
      ...away,
      ...databasesOf(selected),
      SERVICE: selected.join(),
      KEYS_DIR: keysDir,
      PORT: '0',
      RATE_LIMIT_PER_MINUTE: '0',
    })
    const app = await createApp({ config, log: pino({ level: 'silent' }) })
    try {
      const { statusCode, body } = await app.http.inject('/health/ready')
      const needed = selected.filter((name) => storingServices.includes(name)).map((name) => `${name}-database`)
      t.equal(statusCode, 200, `${selected}: ${body}`)
      t.same(Object.keys(JSON.parse(body).dependencies).sort(), needed.sort(), String(selected))
    } finally {
      await app.stop()
    }
  }
})

t.test('real processes start with an unreachable DATABASE_URL', async (t) => {
  for (const name of ['gateway', 'gateway,order', 'product']) {
    const own = name.split(',') as ServiceName[]
    const service = await startService(name, { ...away, ...databasesOf(own), KEYS_DIR: keysDir })
    t.equal(await service.stop(), 0, name)
  }
})

t.test('the gateway alone has nothing to migrate, and opens no database connection', async (t) => {
  const program = fileURLToPath(new URL('../../../src/migrate.ts', import.meta.url))
  const env = { ...childEnvironment(), SERVICE: 'gateway', DATABASE_URL: nowhere }
  const { stdout } = await promisify(execFile)(process.execPath, [program], { env })
  t.equal(stdout, 'nothing to migrate: gateway keeps no data\n')
})
