import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generateKeyPair, type JWTPayload } from 'jose'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { createApp } from '../../../src/app/app.ts'
import { checkKeys } from '../../../src/app/required-keys.ts'
import { readConfig } from '../../../src/config.ts'
import { serviceNames } from '../../../src/environment.ts'
import { createServiceTokens } from '../../../src/platform/auth/service-tokens.ts'
import { initKeys } from '../../../src/platform/keys/key-files.ts'
import { createKeyStore } from '../../../src/platform/keys/key-store.ts'
import { call } from '../../../testing/app.ts'
import { certificateFolder, createAuthority, hasOpenssl, replaceFile } from '../../../testing/certificates.ts'
import { eventually } from '../../../testing/eventually.ts'
import { type Issuer, startIssuer } from '../../../testing/issuer.ts'
import { asService, signedIn } from '../../../testing/people.ts'
import { startPostgres } from '../../../testing/postgres.ts'
import { runToEnd } from '../../../testing/service.ts'

if (!hasOpenssl()) {
  t.pass('skipped: openssl is not installed')
  process.exit()
}

t.setTimeout(180_000)
const folder = certificateFolder(t)
const cluster = createAuthority(folder, 'cluster')
const { certFile, keyFile } = cluster.issue('api')
/** A pod's token for the cluster's API; the issuer needs one to return its keys. */
const apiToken = 'token-for-the-api'
const issuer = await startIssuer(t, { tls: { cert: readFileSync(certFile), key: readFileSync(keyFile) }, bearer: apiToken })

const keysDir = join(folder, 'keys')
await initKeys(keysDir, serviceNames)
const apiTokenFile = join(folder, 'api-token')
writeFileSync(apiTokenFile, `${apiToken}\n`)

const claimsOf = (account: string, namespace = 'shop', audience = 'user'): JWTPayload => ({
  aud: [`orderhub-${audience}`],
  sub: `system:serviceaccount:${namespace}:${account}`,
  'kubernetes.io': { namespace, serviceaccount: { name: account, uid: 'a' }, pod: { name: `${account}-1`, uid: 'b' } },
})
const person = { actor: { type: 'user', id: '1' }, role: 'admin' } as const
const keys = createKeyStore({ folder: keysDir, strict: false })
/** The credential that a pod of `service` sends, with this token of its service account. */
const credential = async (token: string, service = 'order', audience = 'user') =>
  `${token}~${await createServiceTokens(keys, service).mint(audience, person, token)}`

const settings = (name: string) => ({
  SERVICE_ACCOUNT_TOKEN_FILE: join(folder, `token-${name}-{service}`),
  SERVICE_ACCOUNT_NAMES: serviceNames.map((service) => `${service}=orderhub-${service}`).join(','),
  SERVICE_ACCOUNT_CA_FILE: cluster.caFile,
  SERVICE_ACCOUNT_API_TOKEN_FILE: apiTokenFile,
})

const writeTokens = async (name: string, account = `orderhub-${name}`, of: Issuer = issuer) => {
  for (const audience of serviceNames.filter((service) => service !== name))
    replaceFile(join(folder, `token-${name}-${audience}`), await of.sign(claimsOf(account, 'shop', audience)))
}

const run = async (t: Test, name: string, env: Record<string, string>, of: Issuer = issuer) => {
  await writeTokens(name, undefined, of)
  const common = { PORT: '0', METRICS_PORT: '0', RATE_LIMIT_PER_MINUTE: '0', KEYS_DIR: keysDir, DATA_DIR: folder }
  const app = await createApp({
    config: readConfig({ SERVICE: name, ...common, ...settings(name), ...env }),
    log: pino({ level: 'silent' }),
  })
  await app.seed()
  const { url } = await app.start()
  t.teardown(() => app.stop())
  return url
}

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
const DATABASE_URL = await postgres.createDatabase('accounts', ['user'])
const user = await run(t, 'user', { DATABASE_URL })
const nowhere = 'http://127.0.0.1:1'
const elsewhere = Object.fromEntries(
  ['ORDER', 'PRODUCT', 'NOTIFICATION', 'AUDIT'].map((name) => [`${name}_SERVICE_URL`, nowhere]),
)
const productUrl = await postgres.createDatabase('accounts_product', ['product'])
const product = await run(t, 'product', { DATABASE_URL: productUrl, USER_SERVICE_URL: user })
const gateway = await run(t, 'gateway', { ...elsewhere, USER_SERVICE_URL: user })

const internal = (bearer: string, headers: Record<string, string> = {}) =>
  call(`${user}/internal/user/getUsers`, 'POST', { ids: [3] }, { authorization: `Bearer ${bearer}`, ...headers })
const refused = { status: 401, body: { code: 'auth.invalid_token' } }

t.test("a call has the service account's token and the service's signature, for the user behind the call", async (t) => {
  const users = (id: number) =>
    signedIn(keysDir, id).then((headers) => call(`${gateway}/api/v1/users`, 'GET', undefined, headers))
  t.equal((await users(1)).status, 200)
  t.match(await users(3), { status: 403, body: { code: 'auth.forbidden' } })
  t.match(await call(`${gateway}/api/v1/users/3`, 'GET', undefined, await signedIn(keysDir, 3)), { status: 200 })
  t.match(await call(`${gateway}/api/v1/users/2`, 'GET', undefined, await signedIn(keysDir, 3)), { status: 404 })
  t.match(await call(`${gateway}/api/v1/users`), { status: 401, body: { code: 'auth.required' } })
  t.ok(
    issuer.requests.some(({ authorization }) => authorization === `Bearer ${apiToken}`),
    'a token is sent when the issuer requires one',
  )
  t.notOk(issuer.requests[0]?.authorization, 'not before')
})

t.test("the account's name and namespace must match exactly", async (t) => {
  t.match(await internal(await credential(await issuer.sign(claimsOf('orderhub-order')))), { status: 200 })
  for (const account of ['istio-order', 'my-shop-order', 'order', 'default', 'orderhub', 'reorder', 'orderhub-orders', ''])
    t.match(await internal(await credential(await issuer.sign(claimsOf(account)))), refused, account)
  t.match(await internal(await credential(await issuer.sign(claimsOf('orderhub-order', 'other')))), refused, 'another namespace')
  t.match(await internal(await credential(await issuer.sign(claimsOf('orderhub-product')))), refused, 'another service')
  const asGateway = (account: string) => issuer.sign(claimsOf(account)).then((token) => credential(token, 'gateway'))
  const get = async (account: string) =>
    call(`${user}/api/v1/users`, 'GET', undefined, { authorization: `Bearer ${await asGateway(account)}` })
  t.match(await get('orderhub-gateway'), { status: 200 })
  for (const account of ['istio-gateway', 'orderhub-order'])
    t.match(await get(account), refused, `${account} is not accepted as the gateway`)
})

t.test('a credential for one service is refused by another', async (t) => {
  const body = { ids: [1] }
  const at = async (bearer: string) =>
    call(`${product}/internal/product/getProducts`, 'POST', body, { authorization: `Bearer ${bearer}` })
  const forProduct = await issuer.sign(claimsOf('orderhub-order', 'shop', 'product'))
  const shown = await credential(forProduct, 'order', 'product')
  t.match(await at(shown), { status: 200 })
  t.match(await internal(shown), refused, 'replayed at another service')
  t.match(await internal(await credential(forProduct)), refused, 'a token for product, with a signature for user')
  const forUser = await issuer.sign(claimsOf('orderhub-order'))
  t.match(
    await internal(await credential(forUser, 'order', 'product')),
    refused,
    'a token for user, with a signature for product',
  )
})

t.test('the signature covers the user and this token of the account', async (t) => {
  const token = await issuer.sign(claimsOf('orderhub-order'))
  const [, origin = ''] = (await credential(token)).split('~')
  const [head, claims = '', signature] = origin.split('.')
  const changed = { ...JSON.parse(Buffer.from(claims, 'base64url').toString()), actor: { type: 'user', id: '2' } }
  const forged = [head, Buffer.from(JSON.stringify(changed)).toString('base64url'), signature].join('.')
  const before = Buffer.from(JSON.stringify(person)).toString('base64url')
  const bad: Record<string, string> = {
    'another user': `${token}~${forged}`,
    'claims that are not signed': `${token}~${before}`,
    'a stolen token with the key of another service': `${token}~${await createServiceTokens(keys, 'product').mint('user', person, token)}`,
    'a signature for another token': `${await issuer.sign({ ...claimsOf('orderhub-order'), jti: '2' })}~${origin}`,
    'a signature without a token': `${token}~${await createServiceTokens(keys, 'order').mint('user', person)}`,
    'only the signature': origin,
    'only the token': token,
  }
  t.match(await internal(`${token}~${origin}`), { status: 200 })
  for (const [what, bearer] of Object.entries(bad)) t.match(await internal(bearer), refused, what)
})

t.test('invalid tokens of an account', async (t) => {
  const now = Math.floor(Date.now() / 1000)
  const good = claimsOf('orderhub-order')
  const foreign = await generateKeyPair('RS256')
  const bad: Record<string, string | Promise<string>> = {
    "the cluster's API's audience": issuer.sign({ ...good, aud: ['https://kubernetes.default.svc'] }),
    'one audience for all services': issuer.sign({ ...good, aud: ['orderhub'] }),
    'no audience': issuer.sign({ ...good, aud: undefined }),
    'another issuer': issuer.sign({ ...good, iss: 'https://evil.example' }),
    expired: issuer.sign({ ...good, exp: now - 40 }),
    'no exp': issuer.sign({ ...good, exp: undefined }),
    'not yet': issuer.sign({ ...good, nbf: now + 60 }),
    'the subject of another account': issuer.sign({ ...good, sub: 'system:serviceaccount:shop:default' }),
    'no account': issuer.sign({ ...good, 'kubernetes.io': { namespace: 'shop' } }),
    'a foreign key': issuer.sign(good, { key: foreign.privateKey }),
    'an unknown key': issuer.sign(good, { header: { kid: 'unknown' } }),
  }
  for (const [what, token] of Object.entries(bad)) t.match(await internal(await credential(await token)), refused, what)
  const token = await issuer.sign(good)
  t.match(await internal(await credential(token)), { status: 200 })
  t.match(await internal(`${await credential(token)}~x`), refused, 'a third part')
  t.match(
    await internal(await credential(await issuer.sign(good, { key: foreign.privateKey }))),
    refused,
    'a foreign key, after a valid token with the same claims',
  )
})

t.test("a service's key alone is refused, and so is a user's token", async (t) => {
  const { authorization = '' } = await asService(keysDir, 'order', 'user')
  t.match(await internal(authorization.replace('Bearer ', '')), refused)
  const own = (await signedIn(keysDir, 1)).authorization?.replace('Bearer ', '') ?? ''
  t.match(await internal(own), { status: 401 })
  t.match(await internal(await credential(own)), refused)
})

t.test('a client of the gateway cannot speak for others', async (t) => {
  const token = await issuer.sign(claimsOf('orderhub-order'))
  const get = (headers: Record<string, string>) => call(`${gateway}/api/v1/users`, 'GET', undefined, headers)
  t.match(await get({ authorization: `Bearer ${await credential(token)}` }), refused)
  const mine = await signedIn(keysDir, 3)
  t.match(
    await get({ authorization: `${mine.authorization}~${Buffer.from(JSON.stringify(person)).toString('base64url')}` }),
    refused,
  )
  const forged = { 'x-orderhub-actor': JSON.stringify(person), 'x-orderhub-caller': 'order', 'x-orderhub-role': 'admin' }
  t.match(await get({ ...mine, ...forged }), { status: 403 })
})

t.test('the token file is read again when it changes, and new keys of the issuer are found', async (t) => {
  const headers = await signedIn(keysDir, 1)
  const users = () => call(`${gateway}/api/v1/users`, 'GET', undefined, headers)
  await writeTokens('gateway', 'someone-else')
  const rejected = async () => {
    const { status, body } = await users()
    return status === 503 && (body as { code: string }).code === 'auth.service_token_rejected'
  }
  t.ok(await eventually(rejected), 'reported as a fault of the service, not of the user')
  await issuer.rotate()
  await writeTokens('gateway')
  t.ok(await eventually(async () => (await users()).status === 200, { timeoutMs: 20_000, everyMs: 200 }))
})

t.test('an issuer with an untrusted certificate gets no request', async (t) => {
  const other = createAuthority(folder, 'other').issue('api')
  const impostor = await startIssuer(t, { tls: { cert: readFileSync(other.certFile), key: readFileSync(other.keyFile) } })
  const url = await run(t, 'product', { DATABASE_URL: productUrl }, impostor)
  const bearer = await credential(await impostor.sign(claimsOf('orderhub-order', 'shop', 'product')), 'order', 'product')
  const answer = await call(`${url}/internal/product/getProducts`, 'POST', { ids: [1] }, { authorization: `Bearer ${bearer}` })
  t.match(answer, { status: 503, body: { code: 'upstream.unavailable' } })
  t.strictSame(impostor.requests, [])
})

t.test('the start checks its settings', async (t) => {
  const env = { ...elsewhere, USER_SERVICE_URL: user, KEYS_DIR: keysDir }
  const start = (more: Record<string, string>) => runToEnd('gateway', { ...env, ...settings('gateway'), ...more })
  t.match(await start({ SERVICE_ACCOUNT_TOKEN_FILE: join(folder, 'bad-{service}') }), {
    status: 78,
    output: /^SERVICE_ACCOUNT_TOKEN_FILE: \S+bad-user contains no token \([^\n]*\)\n$/,
  })
  t.match(await start({ SERVICE_ACCOUNT_NAMES: settings('gateway').SERVICE_ACCOUNT_NAMES.replace('orderhub-g', 'g') }), {
    status: 78,
    output:
      /^SERVICE_ACCOUNT_NAMES: gateway runs under the account shop\/orderhub-gateway, which differs from the configured one\n$/,
  })
  t.match(await start({ SERVICE_ACCOUNT_TOKEN_FILE: join(folder, 'token'), SERVICE_ACCOUNT_NAMES: 'gateway' }), {
    status: 78,
    output:
      /^SERVICE_ACCOUNT_TOKEN_FILE must contain \{service\}.*\nSERVICE_ACCOUNT_NAMES must be a comma-separated list of [^\n]*\n$/,
  })
  rmSync(join(keysDir, 'service-gateway.private.json'))
  t.throws(
    () => checkKeys(readConfig({ ...env, SERVICE: 'gateway', ...settings('gateway') })),
    /service-gateway/,
    'the gateway needs its key to sign',
  )
})
