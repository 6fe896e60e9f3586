import { chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { join } from 'node:path'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { Agent, request } from 'undici'
import { createApp } from '../../../src/app/app.ts'
import { readConfig } from '../../../src/config.ts'
import { serviceNames } from '../../../src/environment.ts'
import { createTls } from '../../../src/platform/http/tls.ts'
import { initKeys } from '../../../src/platform/keys/key-files.ts'
import { call } from '../../../testing/app.ts'
import {
  type Authority,
  certificateFolder,
  createAuthority,
  hasOpenssl,
  type Pair,
  replaceFile,
  selfSigned,
} from '../../../testing/certificates.ts'
import { eventually } from '../../../testing/eventually.ts'
import { startFakeService } from '../../../testing/gateway.ts'
import { asService, signedIn } from '../../../testing/people.ts'
import { startPostgres } from '../../../testing/postgres.ts'

if (!hasOpenssl()) {
  t.pass('skipped: openssl is not installed')
  process.exit()
}

const folder = certificateFolder(t)
const ours = createAuthority(folder, 'ours')
const theirs = createAuthority(folder, 'theirs')
const keysDir = join(folder, 'keys')
await initKeys(keysDir, serviceNames)

/** Copies of a service's files, so that they can be replaced. */
const placed = (name: string, { certFile, keyFile }: Pair, { caFile }: Pick<Authority, 'caFile'> = ours) => {
  const files = {
    TLS_CERT_FILE: join(folder, `${name}.cert`),
    TLS_KEY_FILE: join(folder, `${name}.priv`),
    TLS_CA_FILE: join(folder, `${name}.ca`),
  }
  copyFileSync(certFile, files.TLS_CERT_FILE)
  copyFileSync(keyFile, files.TLS_KEY_FILE)
  copyFileSync(caFile, files.TLS_CA_FILE)
  return files
}

const run = async (t: Test, env: Record<string, string>) => {
  const lines: string[] = []
  const config = readConfig({
    PORT: '0',
    METRICS_PORT: '0',
    RATE_LIMIT_PER_MINUTE: '0',
    KEYS_DIR: keysDir,
    DATA_DIR: folder,
    ...env,
  })
  const app = await createApp({ config, log: pino({ level: 'info' }, { write: (line: string) => void lines.push(line) }) })
  await app.seed()
  const { url } = await app.start()
  t.teardown(() => app.stop())
  return { url, lines }
}

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
const DATABASE_URL = await postgres.createDatabase('mtls', ['user'])
const userFiles = placed('user', ours.issue('user'))
const user = await run(t, { SERVICE: 'user', DATABASE_URL, ...userFiles })

const nowhere = 'https://127.0.0.1:1'
const elsewhere = Object.fromEntries(
  ['ORDER', 'PRODUCT', 'NOTIFICATION', 'AUDIT'].map((name) => [`${name}_SERVICE_URL`, nowhere]),
)
const gatewayTo = (t: Test, userUrl: string, files: Record<string, string>) =>
  run(t, { SERVICE: 'gateway', ...elsewhere, USER_SERVICE_URL: userUrl, ...files })

/** A client with or without a certificate. */
const clientOf = (t: Test, pair?: Pair) => {
  const own = pair ? { cert: readFileSync(pair.certFile), key: readFileSync(pair.keyFile) } : {}
  const agent = new Agent({ connect: { ca: readFileSync(ours.caFile), ...own } })
  t.teardown(() => agent.close())
  return async (path: string, headers: Record<string, string> = {}, body?: string) => {
    const answer = await request(user.url + path, {
      dispatcher: agent,
      headers: { ...headers, ...(body ? { 'content-type': 'application/json' } : {}) },
      ...(body ? { method: 'POST', body } : {}),
    })
    return { status: answer.statusCode, body: JSON.parse(await answer.body.text()) }
  }
}

const admin = await signedIn(keysDir, 1)

t.test('through the gateway, whose own port is plain HTTP', async (t) => {
  t.match(user.url, /^https:/)
  const gateway = await gatewayTo(t, user.url, placed('gateway', ours.issue('gateway')))
  t.match(gateway.url, /^http:/)
  t.match(await call(`${gateway.url}/api/v1/users`, 'GET', undefined, admin), { status: 200 })
  const { body } = await call(`${gateway.url}/health`)
  await eventually(async () => (await call(`${gateway.url}/health`)).body.upstreams['user-service'].status === 'healthy')
  t.equal(body.service, 'api-gateway')
})

t.test('a certificate of our authority is required, except for health', async (t) => {
  const internal = await asService(keysDir, 'order', 'user')
  const certified = clientOf(t, ours.issue('order'))
  t.match(await certified('/internal/user/getUsers', internal, '{"ids":[1]}'), { status: 200 })
  t.match(await certified('/api/v1/users', admin), { status: 200 })
  const strangers = { none: undefined, 'another authority': theirs.issue('order'), 'self-signed': selfSigned(folder, 'order') }
  for (const [what, pair] of Object.entries(strangers)) {
    const stranger = clientOf(t, pair)
    for (const path of ['/health', '/health/live', '/health/ready'])
      t.equal((await stranger(path)).status, 200, `${what} ${path}`)
    for (const path of [
      '/api/v1/users',
      '/api/v1/users/1',
      '/.well-known/jwks.json',
      '/openapi.json',
      '/healthy',
      '/nothing',
      '/health/../api/v1/users',
    ])
      t.match(await stranger(path, admin), { status: 401, body: { code: 'auth.certificate_required' } }, `${what} ${path}`)
    const called = await stranger('/internal/user/getUsers', internal, '{"ids":[1]}')
    t.match(called, { status: 401, body: { code: 'auth.certificate_required' } }, what)
  }
  t.match(await certified('/internal/user/getUsers', {}, '{"ids":[1]}'), { status: 401, body: { code: 'auth.required' } })
})

t.test('plain HTTP gets no response', async (t) => {
  await t.rejects(fetch(user.url.replace('https', 'http')))
})

t.test('a gateway with a foreign certificate, or that trusts another authority, gets no response', async (t) => {
  const foreign = await gatewayTo(t, user.url, placed('foreign', theirs.issue('gateway')))
  t.match(await call(`${foreign.url}/api/v1/users`, 'GET', undefined, admin), { status: 503, body: { code: 'user.unavailable' } })
  const trusting = await gatewayTo(t, user.url, placed('trusting', ours.issue('gateway'), theirs))
  t.match(await call(`${trusting.url}/api/v1/users`, 'GET', undefined, admin), {
    status: 503,
    body: { code: 'user.unavailable' },
  })
})

t.test('an impostor service gets no request', async (t) => {
  const impostors = {
    'by another authority': theirs.issue('user'),
    'self-signed': selfSigned(folder, 'user'),
    'by our authority, for another host': ours.issue('elsewhere', 'DNS:elsewhere.example'),
  }
  const own = placed('careful', ours.issue('gateway'))
  for (const [what, { certFile, keyFile }] of Object.entries(impostors)) {
    const pair = { cert: readFileSync(certFile), key: readFileSync(keyFile) }
    const impostor = await startFakeService(t, undefined, { create: (listener) => createServer(pair, listener) })
    const gateway = await gatewayTo(t, impostor.url, own)
    t.match(
      await call(`${gateway.url}/api/v1/users`, 'GET', undefined, admin),
      { status: 503, body: { code: 'user.unavailable' } },
      what,
    )
    t.match(
      await call(`${gateway.url}/api/v1/auth/login`, 'POST', { email: 'a@example.com', password: 'x' }),
      { status: 503 },
      what,
    )
    t.strictSame(impostor.received, [], what)
  }
})

t.test('files are rotated under load: no request fails, and the old authority is no longer trusted', async (t) => {
  const files = placed('rotating', ours.issue('gateway'))
  const gateway = await gatewayTo(t, user.url, files)
  const seen = { done: false, sent: 0, bad: [] as unknown[] }
  const worker = async () => {
    while (!seen.done) {
      const { status, body } = await call(`${gateway.url}/api/v1/users/1`, 'GET', undefined, admin)
      seen.sent++
      if (status !== 200) seen.bad.push({ status, body })
    }
  }
  const workers = Array.from({ length: 4 }, worker)
  const used = (lines: string[], times: number) =>
    eventually(() => lines.filter((line) => line.includes('reloaded the certificate files')).length >= times)
  const more = async () => {
    const { sent } = seen
    await eventually(() => seen.sent > sent + 50)
  }
  const replace = (to: typeof files, { certFile, keyFile }: Pair, ca: Buffer) => {
    replaceFile(to.TLS_CERT_FILE, readFileSync(certFile))
    replaceFile(to.TLS_KEY_FILE, readFileSync(keyFile))
    replaceFile(to.TLS_CA_FILE, ca)
  }
  await more()
  const both = Buffer.concat([readFileSync(ours.caFile), readFileSync(theirs.caFile)])
  replace(userFiles, ours.issue('user-2'), both)
  replace(files, ours.issue('gateway-2'), both)
  await used(user.lines, 1)
  await used(gateway.lines, 1)
  await more()
  replace(userFiles, theirs.issue('user-3'), both)
  replace(files, theirs.issue('gateway-3'), both)
  const old = ours.issue('late')
  await eventually(async () => {
    const stranger = new Agent({
      connect: { ca: readFileSync(theirs.caFile), cert: readFileSync(old.certFile), key: readFileSync(old.keyFile) },
    })
    const { statusCode, body } = await request(`${user.url}/health`, { dispatcher: stranger })
    await body.dump()
    await stranger.close()
    return statusCode === 200
  })
  await more()
  replaceFile(userFiles.TLS_CA_FILE, readFileSync(theirs.caFile))
  replaceFile(files.TLS_CA_FILE, readFileSync(theirs.caFile))
  await eventually(async () => {
    const agent = new Agent({
      connect: { ca: readFileSync(theirs.caFile), cert: readFileSync(old.certFile), key: readFileSync(old.keyFile) },
    })
    const { statusCode, body } = await request(`${user.url}/openapi.json`, { dispatcher: agent })
    await body.dump()
    await agent.close()
    return statusCode === 401
  })
  await more()
  seen.done = true
  await Promise.all(workers)
  t.strictSame(seen.bad, [])
  t.ok(seen.sent > 200)
})

t.test('files that do not match: the old ones stay in use', async (t) => {
  const own = placed('half', ours.issue('half'))
  const lines: string[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) })
  const files = { certFile: own.TLS_CERT_FILE, keyFile: own.TLS_KEY_FILE, caFile: own.TLS_CA_FILE }
  const tls = createTls({ files, strict: false, log, connectTimeoutMs: 1000 })
  t.teardown(() => tls.close())
  const before = tls.serverOptions()
  const next = ours.issue('half-2')
  replaceFile(own.TLS_CERT_FILE, readFileSync(next.certFile))
  await eventually(() => lines.some((line) => line.includes('keeping the old ones')))
  t.same(tls.serverOptions(), before)
  replaceFile(own.TLS_KEY_FILE, readFileSync(next.keyFile))
  await eventually(() => lines.some((line) => line.includes('reloaded the certificate files')))
  t.notSame(tls.serverOptions(), before)
})

t.test('unusable files stop the start with one line', (t) => {
  const { TLS_CERT_FILE, TLS_KEY_FILE, TLS_CA_FILE } = placed('bad', ours.issue('bad'))
  const files = { certFile: TLS_CERT_FILE, keyFile: TLS_KEY_FILE, caFile: TLS_CA_FILE }
  const create = () => createTls({ files, strict: true, log: pino({ level: 'silent' }), connectTimeoutMs: 1000 }).close()
  chmodSync(TLS_KEY_FILE, 0o604)
  t.throws(create, { name: 'KeysError', message: /is readable by everybody[^\n]*$/ })
  chmodSync(TLS_KEY_FILE, 0o600)
  t.doesNotThrow(create)
  writeFileSync(TLS_KEY_FILE, 'nothing')
  t.throws(create, { name: 'KeysError', message: /^TLS_CERT_FILE [^\n]* cannot be used \([^\n]*\)$/ })
  const env = { SERVICE: 'gateway', ...elsewhere, USER_SERVICE_URL: nowhere, TLS_CERT_FILE, TLS_KEY_FILE }
  t.throws(() => readConfig(env), { message: /^TLS_CA_FILE missing/ })
  t.throws(() => readConfig({ ...env, TLS_CA_FILE, USER_SERVICE_URL: 'http://127.0.0.1:1' }), {
    message: 'USER_SERVICE_URL must begin with https:// or dns+srvs:// with TLS_CERT_FILE',
  })
  t.end()
})
