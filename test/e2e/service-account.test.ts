import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generateKeyPair, type JWTPayload } from 'jose'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { createApp } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'
import { serviceNames } from '../../src/environment.ts'
import { migrationTargets, runMigrations } from '../../src/migrations.ts'
import { checkKeys } from '../../src/needed-keys.ts'
import { initKeys } from '../../src/platform/keys/key-files.ts'
import { call } from '../support/app.ts'
import { certificateFolder, createAuthority, hasOpenssl, replaceFile } from '../support/certificates.ts'
import { eventually } from '../support/eventually.ts'
import { type Issuer, startIssuer } from '../support/issuer.ts'
import { asService, signedIn } from '../support/people.ts'
import { startPostgres } from '../support/postgres.ts'
import { runToEnd } from '../support/service.ts'

if (!hasOpenssl()) {
  t.pass('left out: there is no openssl here to make certificates with')
  process.exit()
}

const folder = certificateFolder(t)
const cluster = createAuthority(folder, 'cluster')
const { certFile, keyFile } = cluster.issue('api')
/** Of the kind that a pod has for the cluster's API; the issuer gives its keys to nobody without one. */
const apiToken = 'token-for-the-api'
const issuer = await startIssuer(t, { tls: { cert: readFileSync(certFile), key: readFileSync(keyFile) }, bearer: apiToken })

const keysDir = join(folder, 'keys')
await initKeys(keysDir, serviceNames)
const apiTokenFile = join(folder, 'api-token')
writeFileSync(apiTokenFile, `${apiToken}\n`)

const claimsOf = (account: string, namespace = 'shop'): JWTPayload => ({
  aud: ['orderhub'],
  sub: `system:serviceaccount:${namespace}:${account}`,
  'kubernetes.io': { namespace, serviceaccount: { name: account, uid: 'a' }, pod: { name: `${account}-1`, uid: 'b' } },
})
const person = { actor: { type: 'user', id: '1' }, role: 'admin' }
const credential = (token: string, origin: unknown = person) =>
  `${token}~${Buffer.from(JSON.stringify(origin)).toString('base64url')}`

const settings = (name: string) => ({
  SERVICE_ACCOUNT_TOKEN_FILE: join(folder, `token-${name}`),
  SERVICE_ACCOUNT_CA_FILE: cluster.caFile,
  SERVICE_ACCOUNT_API_TOKEN_FILE: apiTokenFile,
})

const run = async (t: Test, name: string, env: Record<string, string>, of: Issuer = issuer) => {
  const more = settings(name)
  writeFileSync(more.SERVICE_ACCOUNT_TOKEN_FILE, await of.sign(claimsOf(`orderhub-${name}`)))
  const common = { PORT: '0', METRICS_PORT: '0', RATE_LIMIT_PER_MINUTE: '0', KEYS_DIR: keysDir, DATA_DIR: folder }
  const app = await createApp({
    config: readConfig({ SERVICE: name, ...common, ...more, ...env }),
    log: pino({ level: 'silent' }),
  })
  await app.seed()
  const { url } = await app.start()
  t.teardown(() => app.stop())
  return url
}

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
const DATABASE_URL = await postgres.createDatabase('accounts')
await runMigrations(migrationTargets(readConfig({ SERVICE: 'user', DATABASE_URL })))
const user = await run(t, 'user', { DATABASE_URL })
const nowhere = 'http://127.0.0.1:1'
const elsewhere = Object.fromEntries(
  ['ORDER', 'PRODUCT', 'NOTIFICATION', 'AUDIT'].map((name) => [`${name}_SERVICE_URL`, nowhere]),
)
const gateway = await run(t, 'gateway', { ...elsewhere, USER_SERVICE_URL: user })

const internal = (bearer: string, headers: Record<string, string> = {}) =>
  call(`${user}/internal/user/getUsers`, 'POST', { ids: [3] }, { authorization: `Bearer ${bearer}`, ...headers })
const refused = { status: 401, body: { code: 'auth.invalid_token' } }

t.test('the token takes the place of the key between services, with the person behind the call', async (t) => {
  const users = (id: number) =>
    signedIn(keysDir, id).then((headers) => call(`${gateway}/api/v1/users`, 'GET', undefined, headers))
  t.equal((await users(1)).status, 200)
  t.match(await users(3), { status: 403, body: { code: 'auth.forbidden' } })
  t.match(await call(`${gateway}/api/v1/users/3`, 'GET', undefined, await signedIn(keysDir, 3)), { status: 200 })
  t.match(await call(`${gateway}/api/v1/users/2`, 'GET', undefined, await signedIn(keysDir, 3)), { status: 404 })
  t.match(await call(`${gateway}/api/v1/users`), { status: 401, body: { code: 'auth.required' } })
  t.ok(
    issuer.requests.some(({ authorization }) => authorization === `Bearer ${apiToken}`),
    'the issuer is shown a token when it asks',
  )
  t.notOk(issuer.requests[0]?.authorization, 'and not before')
})

t.test('accounts of ours in our namespace', async (t) => {
  for (const account of ['orderhub-order', 'order', 'my-shop-order'])
    t.match(await internal(credential(await issuer.sign(claimsOf(account)))), { status: 200 }, account)
  for (const account of ['default', 'orderhub', 'reorder', 'order-admin', 'orderhub-orders', ''])
    t.match(await internal(credential(await issuer.sign(claimsOf(account)))), refused, account)
})

t.test('what is not such a token', async (t) => {
  const now = Math.floor(Date.now() / 1000)
  const good = claimsOf('orderhub-order')
  const foreign = await generateKeyPair('RS256')
  const bad: Record<string, string | Promise<string>> = {
    'another namespace': issuer.sign(claimsOf('orderhub-order', 'other')),
    'another audience': issuer.sign({ ...good, aud: ['https://kubernetes.default.svc'] }),
    'no audience': issuer.sign({ ...good, aud: undefined }),
    'another issuer': issuer.sign({ ...good, iss: 'https://evil.example' }),
    expired: issuer.sign({ ...good, exp: now - 1 }),
    'no end': issuer.sign({ ...good, exp: undefined }),
    'not yet': issuer.sign({ ...good, nbf: now + 60 }),
    'a subject of another': issuer.sign({ ...good, sub: 'system:serviceaccount:shop:default' }),
    'no account': issuer.sign({ ...good, 'kubernetes.io': { namespace: 'shop' } }),
    'a foreign key': issuer.sign(good, { key: foreign.privateKey }),
    'an unknown key': issuer.sign(good, { header: { kid: 'unknown' } }),
  }
  for (const [what, token] of Object.entries(bad)) t.match(await internal(credential(await token)), refused, what)
  const token = await issuer.sign(good)
  t.match(await internal(credential(token)), { status: 200 })
  t.match(await internal(token), refused, 'on behalf of nobody')
  const origins = [
    null,
    {},
    { actor: { type: 'root', id: '1' } },
    { actor: { type: 'user', id: 1 } },
    { ...person, role: 'root' },
  ]
  for (const origin of origins) t.match(await internal(credential(token, origin)), refused, JSON.stringify(origin))
  t.match(await internal(`${credential(token)}~x`), refused, 'a third part')
  t.match(
    await internal(`${credential(await issuer.sign(good, { key: foreign.privateKey }))}`),
    refused,
    'after a good one of the same claims',
  )
})

t.test("a service's key no longer counts, nor does a person's token", async (t) => {
  const { authorization = '' } = await asService(keysDir, 'order', 'user')
  t.match(await internal(authorization.replace('Bearer ', '')), refused)
  const own = (await signedIn(keysDir, 1)).authorization?.replace('Bearer ', '') ?? ''
  t.match(await internal(own), { status: 401 })
  t.match(await internal(credential(own)), refused)
})

t.test('a client of the gateway cannot speak for others', async (t) => {
  const token = await issuer.sign(claimsOf('orderhub-order'))
  const get = (headers: Record<string, string>) => call(`${gateway}/api/v1/users`, 'GET', undefined, headers)
  t.match(await get({ authorization: `Bearer ${credential(token)}` }), refused)
  const mine = await signedIn(keysDir, 3)
  t.match(
    await get({ authorization: `${mine.authorization}~${Buffer.from(JSON.stringify(person)).toString('base64url')}` }),
    refused,
  )
  const forged = { 'x-orderhub-actor': JSON.stringify(person), 'x-orderhub-caller': 'order', 'x-orderhub-role': 'admin' }
  t.match(await get({ ...mine, ...forged }), { status: 403 })
})

t.test('the file is read again when it changes, and keys of the issuer that are new are found', async (t) => {
  const headers = await signedIn(keysDir, 1)
  const users = () => call(`${gateway}/api/v1/users`, 'GET', undefined, headers)
  replaceFile(join(folder, 'token-gateway'), await issuer.sign(claimsOf('someone-else')))
  t.ok(await eventually(async () => (await users()).status === 503), 'the fault is not the person’s')
  await issuer.rotate()
  replaceFile(join(folder, 'token-gateway'), await issuer.sign(claimsOf('orderhub-gateway')))
  t.ok(await eventually(async () => (await users()).status === 200, { timeoutMs: 20_000, everyMs: 200 }))
})

t.test('an issuer that nobody vouches for is not asked', async (t) => {
  const other = createAuthority(folder, 'other').issue('api')
  const impostor = await startIssuer(t, { tls: { cert: readFileSync(other.certFile), key: readFileSync(other.keyFile) } })
  const product = await postgres.createDatabase('accounts_product')
  await runMigrations(migrationTargets(readConfig({ SERVICE: 'product', DATABASE_URL: product })))
  const url = await run(t, 'product', { DATABASE_URL: product }, impostor)
  const bearer = credential(await impostor.sign(claimsOf('orderhub-order')))
  const answer = await call(`${url}/internal/product/getProducts`, 'POST', { ids: [1] }, { authorization: `Bearer ${bearer}` })
  t.match(answer, { status: 503, body: { code: 'upstream.unavailable' } })
  t.strictSame(impostor.requests, [])
})

t.test('what a start needs', async (t) => {
  const env = { ...elsewhere, USER_SERVICE_URL: user, KEYS_DIR: keysDir }
  const file = join(folder, 'token-bad')
  t.match(await runToEnd('gateway', { ...env, SERVICE_ACCOUNT_TOKEN_FILE: file }), {
    status: 78,
    output: /^SERVICE_ACCOUNT_TOKEN_FILE: \S+token-bad holds no token \([^\n]*\)\n$/,
  })
  const config = { ...env, SERVICE: 'gateway', ...settings('gateway') }
  rmSync(join(keysDir, 'service-gateway.private.json'))
  t.doesNotThrow(() => checkKeys(readConfig(config)), 'no key of the service')
})
