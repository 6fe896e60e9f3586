import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { pino } from 'pino'
import t from 'tap'
import { serviceNames } from '../../../src/environment.ts'
import { namedHeaders, passedOn } from '../../../src/modules/gateway/headers.ts'
import { createHttp } from '../../../src/platform/http/server.ts'
import { initKeys } from '../../../src/platform/keys/key-files.ts'
import { runGateway, sendExactly, startFakeService } from '../../../testing/gateway.ts'
import type { Document } from '../../../testing/openapi.ts'
import { signedIn } from '../../../testing/people.ts'

const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

// Setting: `rewriteRequestHeaders`; without it each of the first three is a 500.
t.test('hop-by-hop headers of the client are not forwarded', async (t) => {
  const user = await startFakeService(t)
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url })
  const each: Record<string, string>[] = [
    { 'keep-alive': 'timeout=5' },
    { upgrade: 'websocket' },
    { expect: '100-continue' },
    { connection: 'keep-alive, x-mine', 'x-mine': '1' },
    { connection: 'upgrade', upgrade: 'websocket' },
    { te: 'trailers' },
    { 'proxy-authorization': 'Basic eDp5' },
    { 'proxy-connection': 'keep-alive' },
    { 'transfer-encoding': 'chunked', trailer: 'x-sum' },
  ]
  for (const headers of each) {
    const { status } = await sendExactly(url, '/api/v1/users', { headers: { ...headers, 'if-match': '1' } })
    t.equal(status, 200, JSON.stringify(headers))
    const seen = user.received.pop()?.headers ?? {}
    t.equal(seen['if-match'], '1')
    for (const name of Object.keys(headers)) if (name !== 'connection') t.notOk(name in seen, name)
    t.equal(seen.connection, 'keep-alive')
  }
})

// Setting: `rewriteRequestHeaders`; without it the client's headers are forwarded unchanged.
t.test('a client cannot forge its address, or act as a service', async (t) => {
  const user = await startFakeService(t)
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url })
  const headers = {
    'x-forwarded-for': '203.0.113.7',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'https',
    'x-forwarded-port': '1',
    'x-real-ip': '203.0.113.7',
    forwarded: 'for=203.0.113.7',
    'x-orderhub-actor': Buffer.from('{"type":"service","id":"order"}').toString('base64url'),
    'X-OrderHub-Deadline-Ms': '999999',
  }
  await sendExactly(url, '/api/v1/users', { headers })
  const seen = user.received[0]?.headers ?? {}
  t.match(seen, { 'x-forwarded-for': '127.0.0.1', 'x-forwarded-host': new URL(url).host, 'x-forwarded-proto': 'http' })
  t.equal(seen.host, new URL(user.url).host)
  for (const name of ['x-forwarded-port', 'x-real-ip', 'forwarded', 'x-orderhub-actor', 'x-orderhub-deadline-ms']) {
    t.notOk(name in seen, name)
  }
})

/** Headers with which proxies and meshes state the authenticated user or rewrite the request, and headers that nothing reads. */
const hostile = [
  'authorization',
  'remote-user',
  'x-user',
  'x-user-id',
  'X-User-Role',
  'x_user_id',
  'x-auth-request-email',
  'x-authenticated-userid',
  'x-forwarded-user',
  'x-forwarded-client-cert',
  'x-remote-user',
  'x-client-cert',
  'x-original-url',
  'x-ssl-client-verify',
  'ssl-client-cert',
  'x-amzn-oidc-identity',
  'x-goog-authenticated-user-email',
  'x-ms-client-principal',
  'cf-access-authenticated-user-email',
  'x-orderhub-service-token',
  'X-Webauth-User',
  'Remote-Groups',
  'X-Http-Method-Override',
  'Cookie',
  'X-Requested-With',
  'X-Any-Name-That-Nobody-Thought-Of',
  'Baggage',
  'Via',
]

t.test('identity headers of proxies are not accepted from a client', async (t) => {
  const user = await startFakeService(t)
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url })
  const kept = { 'user-agent': 'test', 'accept-language': 'en', 'idempotency-key': 'k' }
  await sendExactly(url, '/api/v1/users', { headers: { ...Object.fromEntries(hostile.map((name) => [name, '1'])), ...kept } })
  const seen = user.received[0]?.headers ?? {}
  for (const name of hostile) t.notOk(name.toLowerCase() in seen, name)
  t.match(seen, kept)
})

t.test('the service gets a service token instead of the client’s, only for a request that is forwarded', async (t) => {
  const keysDir = join(t.testdir({}), 'keys')
  await initKeys(keysDir, serviceNames)
  const session = { id: 5, role: 'support', session_version: 1, mfa_satisfied: true }
  const user = await startFakeService(t, (_request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify([session]))
  })
  const order = await startFakeService(t)
  const env = { AUTH: 'on', KEYS_DIR: keysDir, USER_SERVICE_URL: user.url, ORDER_SERVICE_URL: order.url }
  const { url } = await runGateway(t, env)
  const person = await signedIn(keysDir, 5)

  t.equal((await sendExactly(url, '/api/v1/orders', { headers: person })).status, 200)
  const token = order.received[0]?.headers.authorization?.replace('Bearer ', '') ?? ''
  t.not(`Bearer ${token}`, person.authorization)
  t.match(decodeProtectedHeader(token), { alg: 'EdDSA', typ: 'orderhub-service+jwt' })
  const { iss, aud, iat = 0, exp = Number.POSITIVE_INFINITY, ...claims } = decodeJwt(token)
  t.same([iss, aud], ['urn:orderhub:service:gateway', 'urn:orderhub:service:order'])
  t.ok(exp - iat <= 60, `${exp - iat} seconds`)
  t.match(claims, { actor: { type: 'user', id: '5' }, role: 'support' })
  t.same(
    user.received.map((request) => request.url),
    ['/internal/user/getSessions'],
  )

  t.equal((await sendExactly(url, '/api/v1/inventory')).status, 200)
  const unnamed = decodeJwt(order.received[1]?.headers.authorization?.replace('Bearer ', '') ?? '')
  t.match(unnamed, { actor: { type: 'anonymous', id: null }, role: null })

  const put = { method: 'PUT', body: '{"available":1}', headers: { 'content-type': 'application/json', ...person } }
  t.equal((await sendExactly(url, '/api/v1/inventory/1', put)).status, 403)
  t.equal((await sendExactly(url, '/api/v1/orders')).status, 401)
  t.equal(
    (await sendExactly(url, '/api/v1/orders', { headers: { authorization: `Bearer ${token}` } })).status,
    401,
    'a service token is refused from a client',
  )
  t.equal(order.received.length, 2, 'refused requests are not forwarded')
})

t.test('a trusted proxy states the client’s address, up to the configured hops', async (t) => {
  const user = await startFakeService(t)
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url, TRUST_PROXY: '1' })
  const headers = { 'x-forwarded-for': '6.6.6.6, 203.0.113.7', 'x-forwarded-host': 'shop.example', 'x-forwarded-proto': 'https' }
  await sendExactly(url, '/api/v1/users', { headers })
  t.match(user.received[0]?.headers, {
    'x-forwarded-for': '203.0.113.7, 127.0.0.1',
    'x-forwarded-host': 'shop.example',
    'x-forwarded-proto': 'https',
  })
})

t.test('the same trace and request id on both sides', async (t) => {
  const user = await startFakeService(t)
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url })
  const given = { traceparent: trace, tracestate: 'a=1', 'x-request-id': 'request-0001', 'accept-language': 'zh-TW' }
  const { headers } = await sendExactly(url, '/api/v1/users', { headers: given })
  t.equal(headers['x-request-id'], 'request-0001')
  t.match(user.received[0]?.headers, given)
  const malformed = { traceparent: '00-nothing-01', tracestate: 'a=1', 'x-request-id': 'no\tid' }
  const answer = await sendExactly(url, '/api/v1/users', { headers: malformed })
  const seen = user.received[1]?.headers ?? {}
  t.match(seen.traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
  t.notOk('tracestate' in seen, 'no tracestate of an invalid traceparent')
  t.equal(seen['x-request-id'], answer.headers['x-request-id'])
  t.not(seen['x-request-id'], 'no\tid')
})

// Setting: `rewriteHeaders`.
t.test('hop-by-hop headers of the service are not forwarded', async (t) => {
  const user = await startFakeService(t, (_request, response) => {
    response.writeHead(200, {
      connection: 'close, x-mine',
      'x-mine': '1',
      'keep-alive': 'timeout=1',
      'proxy-authenticate': 'Basic',
      trailer: 'x-sum',
      'x-theirs': '1',
      'set-cookie': ['a=1', 'b=2'],
    })
    response.end('{}')
  })
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url })
  const { headers } = await sendExactly(url, '/api/v1/users', { headers: { connection: 'keep-alive' } })
  t.match(headers, { connection: 'keep-alive', 'x-theirs': '1', 'set-cookie': ['a=1', 'b=2'] })
  t.not(headers['keep-alive'], 'timeout=1')
  for (const name of ['x-mine', 'proxy-authenticate', 'trailer']) t.notOk(name in headers, name)
})

t.test('a stopping gateway still serves requests, and closes their connections', async (t) => {
  const user = await startFakeService(t)
  const { url, stop } = await runGateway(t, { USER_SERVICE_URL: user.url, SHUTDOWN_DELAY_MS: '1000' })
  const stopped = stop()
  const { status, headers } = await sendExactly(url, '/api/v1/users', { headers: { connection: 'keep-alive' } })
  t.match({ status, connection: headers.connection }, { status: 200, connection: 'close' })
  await stopped
})

t.test('the allowlist has every header that routes declare or modules read', async (t) => {
  const document = JSON.parse(await readFile(new URL('../../../docs/openapi.json', import.meta.url), 'utf8')) as Document
  const declared = Object.values(document.paths).flatMap((operations) =>
    Object.values(operations).flatMap(({ parameters = [] }) =>
      parameters.filter((parameter) => parameter.in === 'header').map(({ name }) => name.toLowerCase()),
    ),
  )
  const read: string[] = []
  for (const file of await readdir(new URL('../../../src/', import.meta.url), { recursive: true })) {
    if (!file.endsWith('.ts') || file.startsWith('modules/gateway/')) continue
    const source = await readFile(new URL(`../../../src/${file}`, import.meta.url), 'utf8')
    for (const [, quoted, plain] of source.matchAll(/(?:request\.|\b|\{ )headers(?:\['([\w-]+)'\]|\??\.([a-z]+)\b(?!\())/g))
      read.push(quoted ?? plain ?? '')
  }
  t.ok(declared.includes('idempotency-key'))
  for (const name of ['accept-language', 'idempotency-key', 'if-none-match', 'content-encoding']) t.ok(read.includes(name), name)
  // Read by the gateway, or headers of a response.
  const elsewhere = ['accept-encoding', 'authorization', 'date', 'host', 'transfer-encoding', 'content-length', 'x-forwarded-for']
  const known = [...passedOn, ...elsewhere, 'x-request-id', 'connection']
  t.same(
    [...new Set([...declared, ...read])].filter((name) => !known.includes(name)),
    [],
  )
})

t.test('in one process a module gets the same headers', async (t) => {
  const app = await createHttp({ log: pino({ level: 'silent' }), trustProxy: false, budgetMs: 1000, stopping: () => false })
  await app.register(namedHeaders)
  app.get('/', async ({ headers }) => headers)
  t.teardown(() => app.close())
  const kept = Object.fromEntries(passedOn.map((name) => [name, '1']))
  const headers = { ...Object.fromEntries(hostile.map((name) => [name, '1'])), ...kept }
  const seen = (await app.inject({ url: '/', headers })).json() as Record<string, string>
  for (const name of hostile.filter((each) => each !== 'authorization')) t.notOk(name.toLowerCase() in seen, name)
  t.match(seen, kept)
  const nominated = { connection: 'close, Idempotency-Key', 'idempotency-key': '1' }
  t.notOk(
    'idempotency-key' in (await app.inject({ url: '/', headers: nominated })).json(),
    'a header named in Connection is removed',
  )
})
