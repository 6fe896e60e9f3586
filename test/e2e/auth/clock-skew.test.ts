import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { serviceNames, storingServices } from '../../../src/environment.ts'
import { initKeys } from '../../../src/platform/keys/key-files.ts'
import { call } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { signedIn } from '../../../testing/people.ts'
import { freePort } from '../../../testing/port.ts'
import { startPostgres } from '../../../testing/postgres.ts'
import { startService } from '../../../testing/service.ts'

t.setTimeout(300_000)

const folder = mkdtempSync(join(tmpdir(), 'orderhub-clock-'))
const keysDir = join(folder, 'keys')
await initKeys(keysDir, serviceNames)
const postgres = await startPostgres()
t.teardown(async () => {
  await postgres.stop()
  rmSync(folder, { recursive: true })
})
const DATABASE_URL = await postgres.createDatabase('skew', storingServices)

const env = { AUTH: 'on', KEYS_DIR: keysDir, DATA_DIR: folder }
const services = await startService('user,order,product,notification,audit', { ...env, DATABASE_URL, SEED: 'true' })
t.teardown(() => services.stop())
const urls = Object.fromEntries(
  serviceNames.filter((name) => name !== 'gateway').map((name) => [`${name.toUpperCase()}_SERVICE_URL`, services.url]),
)

/** A gateway whose clock is ahead by `seconds`. */
const gatewayAhead = async (seconds: number) => {
  const metricsPort = await freePort()
  const gateway = await startService('gateway', {
    ...env,
    ...urls,
    METRICS_PORT: String(metricsPort),
    AUTH_STALE_SECONDS: '0',
    NODE_OPTIONS: `--import=${new URL('../../../testing/shifted-clock.ts', import.meta.url)}`,
    CLOCK_AHEAD_MS: String(seconds * 1000),
  })
  const metrics = () => fetch(`http://127.0.0.1:${metricsPort}/metrics`).then((response) => response.text())
  return { gateway, metrics }
}

const asked = async (url: string) => ({
  anybody: await call(`${url}/api/v1/products`),
  somebody: await call(`${url}/api/v1/users/3`, 'GET', undefined, await signedIn(keysDir, 3)),
  signingIn: await call(`${url}/api/v1/auth/login`, 'POST', { email: 'nobody@example.com', password: 'a password of nobody' }),
})

t.test('a clock skew of some seconds is tolerated', async (t) => {
  for (const seconds of [8, -8, 25]) {
    const { gateway } = await gatewayAhead(seconds)
    const { anybody, somebody, signingIn } = await asked(gateway.url)
    t.match(anybody, { status: 200 }, `${seconds} s: products`)
    t.match(somebody, { status: 200 }, `${seconds} s: own account`)
    t.match(signingIn, { status: 401, body: { code: 'auth.invalid_credentials' } }, `${seconds} s: wrong password`)
    await gateway.stop()
  }
})

t.test('a wrong clock is reported as a fault of the service, not of the user', async (t) => {
  const { gateway, metrics } = await gatewayAhead(60)
  t.teardown(() => gateway.stop())
  const rejected = { status: 503, body: { code: 'auth.service_token_rejected' } }
  const { anybody, somebody } = await asked(gateway.url)
  t.match(anybody, rejected)
  t.match(somebody, rejected)
  // Log lines are written a moment later.
  const told = /"skew_seconds":(59|6[0-2])\b.*another service rejected the token of this service/
  await eventually(() => told.test(gateway.output()))
  await eventually(() => /"skew_seconds":(59|60)\b.*service token rejected/.test(services.output()))
  t.match(await metrics(), /^service_tokens_rejected_total [1-9]/m)
  t.notMatch(anybody.headers, { 'x-orderhub-service-token': /./ })
})
