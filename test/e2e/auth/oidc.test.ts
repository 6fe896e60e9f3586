import { createHmac, createPublicKey } from 'node:crypto'
import { generateKeyPair, type JWTPayload } from 'jose'
import t from 'tap'
import { readConfig } from '../../../src/config.ts'
import { createOidc } from '../../../src/platform/auth/oidc.ts'
import { runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { startIssuer } from '../../../testing/issuer.ts'
import { signedIn } from '../../../testing/people.ts'

const issuer = await startIssuer(t)
const OIDC = { OIDC_ISSUER: issuer.url, OIDC_AUDIENCE: 'shop' }
const { api, keysDir } = await runApp(t, { AUTH: 'on', ...OIDC })
const good: JWTPayload = { aud: 'shop', sub: 'ann', roles: ['admin'] }

const tried = (token: string, path = '/users', method = 'GET', body?: unknown, headers: Record<string, string> = {}) =>
  api(path, method, body, { authorization: `Bearer ${token}`, ...headers })
const refused = { status: 401, body: { code: 'auth.invalid_token' } }
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

t.test("a token of the issuer has its role's rights, and our own tokens still work", async (t) => {
  t.equal((await tried(await issuer.sign(good))).status, 200)
  t.equal((await api('/users', 'GET', undefined, await signedIn(keysDir, 1))).status, 200)
  t.equal((await tried(await issuer.sign({ ...good, aud: ['other', 'shop'] }))).status, 200)
  t.equal((await tried(await issuer.sign(good, { header: { typ: 'at+jwt' } }))).status, 200)
})

t.test('roles come from the claim; an unknown role becomes user', async (t) => {
  const roles: [unknown, number][] = [
    [['admin'], 200],
    ['support', 200],
    ['openid admin', 200],
    [['boss', 'support'], 200],
    [undefined, 403],
    [['user'], 403],
    [['boss'], 403],
    [['ADMIN'], 403],
    [[['admin']], 403],
    [{ admin: true }, 403],
    ['administrator', 403],
    [null, 403],
    [1, 403],
  ]
  for (const [claim, status] of roles)
    t.equal((await tried(await issuer.sign({ ...good, roles: claim }))).status, status, JSON.stringify(claim))
  const { roles: _, ...without } = good
  t.equal((await tried(await issuer.sign({ ...without, role: 'admin', scope: 'admin' }))).status, 403)
})

t.test('roles in a nested claim', async (t) => {
  const oidc = createOidc({ issuer: issuer.url, audience: 'shop', rolesClaim: 'realm_access.roles', adminMfa: undefined })
  const role = async (claims: JWTPayload) => (await oidc.identify(await issuer.sign({ ...good, ...claims }))).role
  t.equal(await role({ realm_access: { roles: ['admin'] } }), 'admin')
  t.equal(await role({ 'realm_access.roles': ['boss', 'auditor'] }), 'auditor')
  for (const claims of [{}, { realm_access: 'roles' }, { realm_access: null }, { realm_access: ['roles'] }])
    t.equal(await role(claims), 'user', JSON.stringify(claims))
})

t.test('a subject without an account owns nothing, whatever its name', async (t) => {
  for (const sub of ['ann', '3', "3'or'1'='1", 'oidc:3', '00000000-0000-7000-8000-000000000000']) {
    const token = await issuer.sign({ aud: 'shop', sub })
    t.equal((await tried(token, '/users/3')).status, 404, sub)
    t.match(await tried(token, '/orders'), { status: 200, body: { data: [] } }, sub)
    t.match(await tried(token, '/notifications'), { status: 200, body: { data: [] } }, sub)
    t.match(await tried(token, '/users/3', 'DELETE'), { status: 404 }, sub)
    const order = { user_id: 3, items: [{ product_id: 2, quantity: 1 }] }
    const { status } = await tried(token, '/orders', 'POST', order, { 'idempotency-key': `oidc-${sub}` })
    t.ok(status >= 400 && status < 500, `${sub}: ${status}`)
    for (const [path, method] of [
      ['/auth/me', 'GET'],
      ['/auth/mfa/enrol', 'POST'],
      ['/auth/mfa', 'DELETE'],
    ] as const) {
      const { status } = await tried(token, path, method, method === 'GET' ? undefined : {})
      t.ok(status >= 400 && status < 500, `${sub} ${path}: ${status}`)
    }
  }
})

t.test('tokens that are no access token of the issuer for this API', async (t) => {
  const now = Math.floor(Date.now() / 1000)
  const foreign = await generateKeyPair('RS256')
  const pem = createPublicKey({ key: issuer.published()[0] as never, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
  const claims = encode({ iss: issuer.url, iat: now, exp: now + 300, ...good })
  const hs256 = `${encode({ alg: 'HS256', kid: issuer.kid() })}.${claims}`
  const token = await issuer.sign(good)
  const [head, , signature] = token.split('.')
  const bad: Record<string, string | Promise<string>> = {
    'another audience': issuer.sign({ ...good, aud: 'other' }),
    'no audience': issuer.sign({ ...good, aud: undefined }),
    'our own audience': issuer.sign({ ...good, aud: 'urn:orderhub:api' }),
    'another issuer': issuer.sign({ ...good, iss: 'https://evil.example' }),
    'an issuer with a trailing slash': issuer.sign({ ...good, iss: `${issuer.url}/` }),
    'our own issuer': issuer.sign({ ...good, iss: 'urn:orderhub' }),
    expired: issuer.sign({ ...good, exp: now - 1 }),
    'not yet': issuer.sign({ ...good, nbf: now + 60 }),
    'no exp': issuer.sign({ ...good, exp: undefined }),
    'no iat': issuer.sign({ ...good, iat: undefined }),
    nobody: issuer.sign({ ...good, sub: undefined }),
    'an empty subject': issuer.sign({ ...good, sub: '' }),
    'a subject with a space': issuer.sign({ ...good, sub: 'ann 3' }),
    'a long subject': issuer.sign({ ...good, sub: 'a'.repeat(256) }),
    'an ID token by its nonce': issuer.sign({ ...good, nonce: 'n' }),
    'an ID token by its hash': issuer.sign({ ...good, at_hash: 'h' }),
    'an ID token by its type': issuer.sign({ ...good, typ: 'ID' }),
    'a refresh token': issuer.sign({ ...good, typ: 'Refresh' }),
    'a logout token': issuer.sign(good, { header: { typ: 'logout+jwt' } }),
    "a service's token": issuer.sign(good, { header: { typ: 'orderhub-service+jwt' } }),
    'a foreign key': issuer.sign(good, { key: foreign.privateKey }),
    'a foreign key in the header': issuer.sign(good, {
      key: foreign.privateKey,
      header: { jku: `${issuer.url}/keys`, kid: 'mine' },
    }),
    'an unknown key': issuer.sign(good, { header: { kid: 'unknown' } }),
    'no algorithm': `${encode({ alg: 'none', kid: issuer.kid() })}.${claims}.`,
    'a secret that is the public key': `${hs256}.${createHmac('sha256', pem).update(hs256).digest('base64url')}`,
    'other claims': `${head}.${encode({ ...good, iss: issuer.url, iat: now, exp: now + 301 })}.${signature}`,
    cut: token.slice(0, -20),
  }
  for (const [what, token] of Object.entries(bad)) t.match(await tried(await token), refused, what)
})

t.test('a new key of the issuer is found', async (t) => {
  await tried(await issuer.sign(good))
  await issuer.rotate()
  const token = await issuer.sign(good)
  t.ok(await eventually(async () => (await tried(token)).status === 200, { timeoutMs: 20_000, everyMs: 200 }))
})

t.test('an issuer that does not respond gives 503, not an invalid token', async (t) => {
  const away = await startIssuer(t)
  const oidc = createOidc({ issuer: away.url, audience: 'shop', rolesClaim: 'roles', adminMfa: undefined })
  const token = await away.sign(good)
  const unavailable = { code: 'upstream.unavailable' }
  away.discovery.issuer = 'https://other.example'
  await t.rejects(oidc.identify(token), unavailable, 'discovery of another issuer')
  away.discovery.issuer = away.url
  away.discovery.jwks_uri = `${away.url}/nothing`
  await t.rejects(oidc.identify(token), unavailable, 'no keys')
  const again = createOidc({ issuer: away.url, audience: 'shop', rolesClaim: 'roles', adminMfa: undefined })
  delete away.discovery.jwks_uri
  t.match(await again.identify(token), { actor: { type: 'user', id: 'oidc:ann' }, role: 'admin' })
  await away.stop()
  t.match(await again.identify(token), { role: 'admin' }, 'a known token still works')
  t.match(await again.identify(await away.sign({ ...good, sub: 'bob' })), { role: 'admin' }, 'known keys still work')
  const late = createOidc({ issuer: away.url, audience: 'shop', rolesClaim: 'roles', adminMfa: undefined })
  await t.rejects(late.identify(token), unavailable)
})

t.test('in production the issuer needs https, and both settings are required', (t) => {
  const env = { NODE_ENV: 'production', KEYS_DIR: keysDir, ...OIDC }
  t.throws(() => readConfig(env), { message: 'OIDC_ISSUER must begin with https:// in production' })
  t.doesNotThrow(() => readConfig({ ...env, OIDC_ISSUER: 'https://issuer.example' }))
  t.throws(() => readConfig({ OIDC_ISSUER: issuer.url }), { message: /^OIDC_AUDIENCE missing/ })
  t.end()
})
