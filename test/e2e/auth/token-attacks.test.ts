import { createHmac, createPublicKey, type KeyObject, randomUUID, sign as signBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import t, { type Test } from 'tap'
import { createKeyStore } from '../../../src/platform/keys/key-store.ts'
import { runApp } from '../../../testing/app.ts'
import { asService, signedIn } from '../../../testing/people.ts'

const { url, keysDir, api } = await runApp(t, { AUTH: 'on' })
const keys = createKeyStore({ folder: keysDir, strict: false })
const { kid, key } = keys.signer('access-token')
const [published] = keys.published('access-token').keys
const publicKey = createPublicKey({ key: published as never, format: 'jwk' })

const now = Math.floor(Date.now() / 1000)
/** The claims of an administrator's token. */
const good: JWTPayload = {
  iss: 'urn:orderhub',
  aud: 'urn:orderhub:api',
  sub: '1',
  client_id: 'orderhub',
  session_version: 1,
  jti: randomUUID(),
  iat: now,
  exp: now + 600,
}
const header = { alg: 'EdDSA', typ: 'at+jwt', kid }
const encode = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const sign = (claims: JWTPayload, more: Record<string, unknown> = {}, signer: KeyObject | Uint8Array = key) =>
  new SignJWT(claims).setProtectedHeader({ ...header, ...more }).sign(signer as KeyObject)

const bearer = ({ authorization = '' }: Record<string, string>) => authorization.replace('Bearer ', '')

const tried = async (token: string) => api('/users', 'GET', undefined, { authorization: `Bearer ${token}` })
const refused = { status: 401, body: { code: 'auth.invalid_token' } }
const each = async (t: Test, tokens: Record<string, string>) => {
  for (const [what, token] of Object.entries(tokens)) t.match(await tried(token), refused, what)
}

t.test('the token that the others are derived from is valid', async (t) => {
  t.equal((await tried(await sign(good))).status, 200)
})

t.test('no algorithm', async (t) => {
  for (const alg of ['none', 'None', 'NONE', 'nOnE', '', null]) {
    const unsigned = `${encode({ ...header, alg })}.${encode(good)}`
    const { 2: signature } = (await sign(good)).split('.')
    await each(t, { [`${alg} `]: `${unsigned}.`, [`${alg} signed`]: `${unsigned}.${signature}` })
  }
})

t.test('the public key as an HMAC secret', async (t) => {
  const raw = Buffer.from(published?.x as string, 'base64url')
  const secrets: Record<string, Buffer> = {
    raw,
    'base64url text': Buffer.from(published?.x as string),
    'hex text': Buffer.from(raw.toString('hex')),
    'SPKI PEM': Buffer.from(publicKey.export({ type: 'spki', format: 'pem' })),
    'SPKI PEM without its last line feed': Buffer.from(publicKey.export({ type: 'spki', format: 'pem' }).toString().trim()),
    'SPKI DER': publicKey.export({ type: 'spki', format: 'der' }),
    JWK: Buffer.from(JSON.stringify(published)),
    'public.json': readFileSync(join(keysDir, 'public.json')),
    'served key set': Buffer.from(await (await fetch(`${url}/.well-known/jwks.json`)).arrayBuffer()),
    empty: Buffer.alloc(0),
  }
  for (const [what, secret] of Object.entries(secrets))
    for (const alg of ['HS256', 'HS384', 'HS512']) {
      const input = `${encode({ ...header, alg })}.${encode(good)}`
      const signature = createHmac(alg.replace('HS', 'sha'), secret).update(input).digest('base64url')
      await each(t, { [`${alg} ${what}`]: `${input}.${signature}` })
    }
})

t.test("keys in the token's header", async (t) => {
  const foreign = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  const jwk = { ...(await exportJWK(foreign.publicKey)), kid, alg: 'EdDSA', use: 'sig' }
  let asked = 0
  const server = createServer((_request, response) => {
    asked++
    response.end(JSON.stringify({ keys: [jwk] }))
  }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  const jku = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`
  const critical = `${encode({ ...header, crit: ['unknown'], unknown: true })}.${encode(good)}`
  const signed = (more: Record<string, unknown>) => sign(good, more, foreign.privateKey as never)
  await each(t, {
    'the known id': await signed({}),
    jwk: await signed({ jwk }),
    'jwk, no id': await signed({ jwk, kid: undefined }),
    jku: await signed({ jku }),
    'jku, new id': await signed({ jku, kid: 'new' }),
    x5u: await signed({ x5u: jku }),
    x5c: await signed({ x5c: [encode('certificate')] }),
    'an unknown critical extension': `${critical}.${signBytes(null, Buffer.from(critical), key).toString('base64url')}`,
  })
  t.equal(asked, 0, 'no key is fetched')
})

t.test('invalid key ids', async (t) => {
  const service = keys.signer('service-order')
  const bad: Record<string, unknown> = {
    path: '../../../../dev/null',
    'file of keys': 'access-token.private.json',
    'file of public keys': `${keysDir}/public.json`,
    sql: `${kid}' or '1'='1`,
    nul: `${kid}\u0000`,
    prototype: '__proto__',
    constructor: 'constructor',
    'with purpose': `access-token ${kid}`,
    empty: '',
    number: 1,
    list: [kid],
    object: { kid },
    null: null,
    missing: undefined,
  }
  for (const [what, wrong] of Object.entries(bad)) {
    const input = `${encode({ ...header, kid: wrong })}.${encode(good)}`
    await each(t, { [what]: `${input}.${signBytes(null, Buffer.from(input), key).toString('base64url')}` })
  }
  await each(t, {
    "a service's key under its own id": await sign(good, { kid: service.kid }, service.key),
    "a service's key under the known id": await sign(good, {}, service.key),
  })
})

t.test('wrong claims', async (t) => {
  const without = (name: string) => Object.fromEntries(Object.entries(good).filter(([claim]) => claim !== name))
  const bad: Record<string, JWTPayload> = {
    'another audience': { ...good, aud: 'urn:orderhub:service:user' },
    'our audience with a slash': { ...good, aud: 'urn:orderhub:api/' },
    'no audience': without('aud'),
    'another issuer': { ...good, iss: 'https://evil.example' },
    'our issuer with a space': { ...good, iss: 'urn:orderhub ' },
    'no issuer': without('iss'),
    expired: { ...good, exp: now - 31 },
    'not yet': { ...good, nbf: now + 60 },
    'no exp': without('exp'),
    'exp is text': { ...good, exp: 'never' as never },
    'no iat': without('iat'),
    nobody: without('sub'),
    'a subject that is no id': { ...good, sub: 'admin' },
    'no session version': without('session_version'),
    'an old session': { ...good, session_version: 0 },
    'an unknown user': { ...good, sub: '999999' },
  }
  for (const [what, claims] of Object.entries(bad)) await each(t, { [what]: await sign(claims) })
})

t.test('tokens of another kind', async (t) => {
  await each(t, {
    'an ID token': await sign(good, { typ: 'JWT' }),
    'no type': await sign(good, { typ: undefined }),
    'the type of service tokens': await sign(good, { typ: 'orderhub-service+jwt' }),
    "a service's token": bearer(await asService(keysDir, 'order', 'user')),
    "a service's key with a user's claims": await sign(
      good,
      { kid: keys.signer('service-user').kid },
      keys.signer('service-user').key,
    ),
    'a credential of a service account': `${await sign(good)}~${encode({ actor: { type: 'user', id: '1' }, role: 'admin' })}`,
  })
})

t.test('changed and cut tokens', async (t) => {
  const token = bearer(await signedIn(keysDir, 3))
  const [head = '', claims = '', signature = ''] = token.split('.')
  const raised = encode({ ...JSON.parse(Buffer.from(claims, 'base64url').toString()), sub: '1' })
  const bytes = Buffer.from(signature, 'base64url')
  bytes[0] = (bytes[0] as number) ^ 1
  await each(t, {
    'other claims': `${head}.${raised}.${signature}`,
    'one bit of the signature': `${head}.${claims}.${bytes.toString('base64url')}`,
    'half of the signature': `${head}.${claims}.${signature.slice(0, 40)}`,
    'no signature': `${head}.${claims}.`,
    'no third part': `${head}.${claims}`,
    'a fourth part': `${token}.${signature}`,
    'only the claims': claims,
    'zero signature': `${head}.${claims}.${Buffer.alloc(64).toString('base64url')}`,
    nonsense: 'x',
    dots: '..',
    long: 'a'.repeat(8000),
  })
})

t.test('a token is accepted only in the header', async (t) => {
  const token = await sign(good)
  for (const path of [`/users?access_token=${token}`, `/users?token=${token}`]) {
    const { status } = await api(path)
    t.ok(status === 401 || status === 400, path)
  }
  t.equal((await api('/users', 'GET', undefined, { cookie: `access_token=${token}` })).status, 401)
  t.equal((await api('/users', 'GET', undefined, { authorization: `Basic ${token}` })).status, 401)
})

t.test('the key set has only public keys, and its max-age is shorter than a rotation', async (t) => {
  const response = await fetch(`${url}/.well-known/jwks.json`)
  t.equal(response.status, 200)
  t.match(response.headers.get('content-type'), /^application\/jwk-set\+json/)
  t.match(response.headers.get('cache-control'), /max-age=60/)
  const { keys } = (await response.json()) as { keys: Record<string, unknown>[] }
  t.strictSame(
    keys.map(({ kid, kty, crv, alg, use }) => ({ kid, kty, crv, alg, use })),
    [{ kid, kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig' }],
  )
  t.notOk(keys.some((key) => 'd' in key || 'active_at' in key))
})
