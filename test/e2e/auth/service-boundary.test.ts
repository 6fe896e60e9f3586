import { createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import t from 'tap'
import { type KeySet, newKey } from '../../../src/platform/keys/key-files.ts'
import { call } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { asService, signedIn } from '../../../testing/people.ts'
import { startSystem } from '../../../testing/system.ts'

t.setTimeout(180_000)

interface Forgery {
  readonly issuer?: string
  readonly audience?: string
  /** The service whose private key signs. */
  readonly signer?: string
  readonly kid?: string
  readonly typ?: string
  /** In seconds. */
  readonly issuedAgo?: number
  readonly lifetime?: number
  readonly actor?: object
  readonly role?: string | null
}

/** A service token with wrong parts. */
const forge = async (keysDir: string, forgery: Forgery): Promise<Record<string, string>> => {
  const { issuer = 'order', audience = 'user', signer = issuer, typ = 'orderhub-service+jwt' } = forgery
  const { issuedAgo = 0, lifetime = 60, actor = { type: 'user', id: '1' }, role = 'admin' } = forgery
  const set: KeySet =
    signer === 'stranger'
      ? { keys: [await newKey(new Date())] }
      : JSON.parse(readFileSync(join(keysDir, `service-${signer}.private.json`), 'utf8'))
  const [key] = set.keys
  if (!key) throw new Error('no key')
  const now = Math.floor(Date.now() / 1000) - issuedAgo
  const token = await new SignJWT({ actor, role })
    .setProtectedHeader({ alg: 'EdDSA', typ, kid: forgery.kid ?? key.kid })
    .setIssuer(`urn:orderhub:service:${issuer}`)
    .setAudience(`urn:orderhub:service:${audience}`)
    .setIssuedAt(now)
    .setExpirationTime(now + lifetime)
    .sign(createPrivateKey({ key: key as never, format: 'jwk' }))
  return { authorization: `Bearer ${token}` }
}

const kidOf = (keysDir: string, service: string): string =>
  JSON.parse(readFileSync(join(keysDir, `service-${service}.private.json`), 'utf8')).keys[0].kid

t.test('the boundary between services', async (t) => {
  const system = await startSystem({ env: { AUTH: 'on', LOG_LEVEL: 'info' } })
  t.teardown(() => system.stop())
  const { keysDir, url, services } = system
  const [user, order] = [services.user[0]?.url, services.order[0]?.url]
  const getUser = (headers: Record<string, string>) => call(`${user}/internal/user/getUser`, 'POST', { id: 1 }, headers)
  const linesOf = (service: 'user' | 'order' | 'gateway'): Record<string, unknown>[] =>
    (services[service][0]?.output() ?? '')
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line))
  const foreign = await signedIn(keysDir, 3)

  await t.test('a service calls another, and has the rights of the user on whose behalf it calls', async (t) => {
    t.match(await getUser(await asService(keysDir, 'order', 'user')), { status: 200, body: { id: 1 } })
    const orders = async (forgery: Forgery) =>
      call(`${order}/api/v1/orders`, 'GET', undefined, await forge(keysDir, { issuer: 'gateway', audience: 'order', ...forgery }))
    t.match(await orders({ role: 'user', actor: { type: 'user', id: '2' } }), { status: 200, body: { data: [{ user_id: 2 }] } })
    t.equal((await orders({ role: 'user', actor: { type: 'user', id: '2' } })).body.count, 1)
    t.match(await orders({ role: null, actor: { type: 'anonymous', id: null } }), {
      status: 401,
      body: { code: 'auth.required' },
    })
    const itself = { actor: { type: 'service', id: 'gateway' } }
    t.match(await orders({ ...itself, role: null }), { status: 403, body: { code: 'auth.forbidden' } })
    t.match(await orders({ ...itself, role: 'admin' }), { status: 403 }, 'a service has no role')
    const products = await call(
      `${services.product[0]?.url}/api/v1/products`,
      'GET',
      undefined,
      await asService(keysDir, 'order', 'product'),
    )
    t.equal(products.status, 200, 'a service can read what is public')
  })

  await t.test('a token that is no service token for this service is refused and logged', async (t) => {
    const refused: Record<string, [headers: Record<string, string>, reason: RegExp | undefined]> = {
      'no token': [{}, undefined],
      'a person’s token': [await signedIn(keysDir, 1), /unknown key/],
      garbage: [{ authorization: 'Bearer a.b.c' }, /./],
      'basic credentials': [{ authorization: 'Basic b3JkZXI6eA==' }, undefined],
      expired: [await forge(keysDir, { issuedAgo: 92 }), /exp/],
      'its lifetime is too long': [await forge(keysDir, { issuedAgo: 120, lifetime: 3600 }), /too long/],
      'issued in the future': [await forge(keysDir, { issuedAgo: -3600 }), /too long/],
      'for another service': [await forge(keysDir, { audience: 'product' }), /aud/],
      'for the gateway': [await forge(keysDir, { audience: 'gateway' }), /aud/],
      'signed by product, says order': [await forge(keysDir, { signer: 'product' }), /unknown key/],
      'signed by product, says order and names order’s key': [
        await forge(keysDir, { signer: 'product', kid: kidOf(keysDir, 'order') }),
        /signature/,
      ],
      'signed by order, says gateway': [await forge(keysDir, { issuer: 'gateway', signer: 'order' }), /unknown key/],
      'an unknown service': [await forge(keysDir, { issuer: 'billing', signer: 'stranger' }), /unknown key/],
      'an unknown key of order': [await forge(keysDir, { signer: 'stranger' }), /unknown key/],
      'a path as the service name': [await forge(keysDir, { issuer: '../order', signer: 'order' }), /unknown key/],
      'another type of token': [await forge(keysDir, { typ: 'at+jwt' }), /typ/],
    }
    for (const [name, [headers]] of Object.entries(refused)) {
      const id = `boundary-${name.replace(/[^a-z]/g, '-')}`.slice(0, 64)
      const answer = await getUser({ ...headers, 'x-request-id': id })
      t.equal(answer.status, 401, name)
      const code = headers.authorization?.startsWith('Bearer') ? 'auth.invalid_token' : 'auth.required'
      t.equal(answer.body.code, code, name)
      t.match(answer.headers.get('www-authenticate'), /^Bearer realm="orderhub"/)
      t.notOk(JSON.stringify(answer.body).includes('陳'), name)
      const line = await eventually(
        () => linesOf('user').find((each) => each.request_id === id && each.msg === 'request') ?? false,
      )
      t.match(line, { status: 401, code, route: '/internal/user/getUser' }, name)
      const [, reason] = refused[name] ?? []
      if (!reason) continue
      const why = linesOf('user').find((each) => each.request_id === id && each.msg !== 'request')
      t.match(why, { level: 'warn', reason }, name)
    }
    const written = (services.user[0]?.output() ?? '').split('\n').filter((line) => /eyJ[\w-]+\.eyJ/.test(line))
    t.same(written, [], 'no token is in the log')
  })

  await t.test('identity headers have no effect, neither at the gateway nor at a service', async (t) => {
    const claim = Buffer.from('{"type":"user","id":"1","role":"admin"}').toString('base64url')
    const names = ['x-user-id', 'x-user', 'x-user-role', 'x-forwarded-user', 'x-forwarded-email', 'x-remote-user', 'x-auth-user']
    const ours = ['x-orderhub-actor', 'x-orderhub-role', 'x-orderhub-scope', 'x-orderhub-user-id', 'x-service-token']
    const forged = Object.fromEntries([
      ...names.map((name) => [name, '1']),
      ...ours.map((name) => [name, claim]),
      ['forwarded', 'for=127.0.0.1;by=gateway'],
      ['remote-user', 'admin'],
      ['x-forwarded-for', '127.0.0.1'],
      ['x-original-url', '/health'],
      ['x-http-method-override', 'GET'],
    ]) as Record<string, string>
    for (const base of [url, order]) {
      t.equal((await call(`${base}/api/v1/orders`, 'GET', undefined, forged)).status, 401)
      t.equal((await call(`${base}/api/v1/orders/1`, 'GET', undefined, { ...forged, ...foreign })).status, 404)
      t.equal((await call(`${base}/api/v1/orders`, 'GET', undefined, { ...forged, ...foreign })).body.count, 0)
      t.equal((await call(`${base}/api/v1/orders/1`, 'PATCH', { status: 'processing' }, { ...forged, ...foreign })).status, 403)
    }
    t.equal((await getUser(forged)).status, 401)
  })

  await t.test('a valid service token is refused at the public port', async (t) => {
    for (const audience of ['order', 'gateway', 'user']) {
      const captured = await forge(keysDir, { issuer: 'gateway', audience })
      for (const path of ['/api/v1/orders', '/api/v1/orders/1', '/api/v1/products', '/api/v1/nothing'])
        t.match(await call(url + path, 'GET', undefined, captured), path.endsWith('nothing') ? { status: 404 } : { status: 401 })
    }
    for (const audience of ['product', 'gateway', 'user'])
      t.equal(
        (await call(`${order}/api/v1/orders`, 'GET', undefined, await forge(keysDir, { issuer: 'gateway', audience }))).status,
        401,
      )
    for (const path of [
      '/internal/user/getUser',
      '/internal/order/x',
      '/api/internal/user/getUser',
      '/api/v1/internal/user/getUser',
    ])
      t.equal((await call(url + path, 'POST', { id: 1 }, await forge(keysDir, {}))).status, 404, path)
  })
})
