import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { type RunningGateway, runGateway, sendExactly, startFakeService } from '../../../testing/gateway.ts'
import { hasRedis, startRedis } from '../../../testing/redis.ts'

const statusOf = async (gateway: RunningGateway, path: string, headers: Record<string, string> = {}) =>
  (await sendExactly(gateway.url, path, { headers })).status

t.test('a client above its requests per minute gets a 429 with Retry-After', async (t) => {
  const user = await startFakeService(t)
  const gateway = await runGateway(t, { USER_SERVICE_URL: user.url, RATE_LIMIT_PER_MINUTE: '3' })
  const first = await sendExactly(gateway.url, '/api/v1/users')
  t.match(first.headers, { 'x-ratelimit-limit': '3', 'x-ratelimit-remaining': '2', 'x-ratelimit-reset': '60' })
  for (const path of ['/api/v1/none', '/none']) t.equal(await statusOf(gateway, path), 404, 'unknown routes count')
  // Other spellings of the path, and other paths.
  for (const path of ['/api/v1/users', '/api/users', '/%61pi/v1/users', '/none', '/api/v1/orders']) {
    const { status, headers, text } = await sendExactly(gateway.url, path)
    t.equal(status, 429, path)
    t.match(JSON.parse(text), { success: false, code: 'request.rate_limited', status: 429, trace_id: /./ })
    t.match(headers, { 'content-type': /^application\/problem\+json/, 'retry-after': /^\d+$/, 'x-ratelimit-remaining': '0' })
  }
  const pages = ['/', '/docs', '/docs/', '/openapi.json', '/assets/style.css', '/activate', '/.well-known/jwks.json', '/healthy']
  for (const path of pages) t.equal(await statusOf(gateway, path), 429, `${path} counts`)
  for (const path of ['/health', '/health/live', '/health/ready']) {
    const { status, headers } = await sendExactly(gateway.url, path)
    t.equal(status, 200, `${path} is not limited`)
    t.notOk('x-ratelimit-limit' in headers)
  }
  t.equal(user.received.length, 1)
})

t.test('each client address is counted, from X-Forwarded-For only with TRUST_PROXY', async (t) => {
  const user = await startFakeService(t)
  const env = { USER_SERVICE_URL: user.url, RATE_LIMIT_PER_MINUTE: '1' }
  const from = (address: string) => ({ 'x-forwarded-for': address })
  const trusting = await runGateway(t, { ...env, TRUST_PROXY: '1' })
  t.equal(await statusOf(trusting, '/api/v1/users', from('203.0.113.1')), 200)
  t.equal(await statusOf(trusting, '/api/v1/users', from('203.0.113.2')), 200)
  t.equal(await statusOf(trusting, '/api/v1/users', from('203.0.113.1')), 429)
  t.equal(await statusOf(trusting, '/api/v1/users', from('2001:db8::1')), 200)
  t.equal(await statusOf(trusting, '/api/v1/users', from('2001:db8::2')), 429, 'one IPv6 network is one client')
  const plain = await runGateway(t, env)
  t.equal(await statusOf(plain, '/api/v1/users', from('203.0.113.1')), 200)
  t.equal(await statusOf(plain, '/api/v1/users', from('203.0.113.2')), 429, 'the header is not trusted')
})

t.test('0 disables the limit', async (t) => {
  const user = await startFakeService(t)
  const gateway = await runGateway(t, { USER_SERVICE_URL: user.url })
  const { status, headers } = await sendExactly(gateway.url, '/api/v1/users')
  t.equal(status, 200)
  t.notOk('x-ratelimit-limit' in headers)
})

t.test('the limit, CORS and security headers also apply in one process', async (t) => {
  const { url, api } = await runApp(t, { RATE_LIMIT_PER_MINUTE: '2', CORS_ORIGINS: 'https://shop.example' })
  const { status, headers } = await api('/products', 'GET', undefined, { origin: 'https://shop.example' })
  t.match(
    [status, headers.get('access-control-allow-origin'), headers.get('content-security-policy')],
    [200, 'https://shop.example', /default-src 'none'/],
  )
  t.equal((await api('/products')).status, 200)
  t.match(await api('/products'), { status: 429, body: { code: 'request.rate_limited' } })
  t.equal((await fetch(`${url}/health`)).status, 200)
})

t.test('gateways share the count in Redis, and continue while Redis is down', async (t) => {
  if (!hasRedis()) {
    console.log('# skipped: redis-server is not installed')
    return
  }
  const [user, redis] = await Promise.all([startFakeService(t), startRedis()])
  t.teardown(() => redis.stop())
  const env = { USER_SERVICE_URL: user.url, RATE_LIMIT_PER_MINUTE: '1000', REDIS_URL: redis.url }
  const [one, two] = [await runGateway(t, env), await runGateway(t, env)]
  const left = async (gateway: RunningGateway) => {
    const { status, headers } = await sendExactly(gateway.url, '/api/v1/users')
    if (status !== 200) throw new Error(`answered ${status}`)
    return Number(headers['x-ratelimit-remaining'])
  }
  const counted = (gateway: RunningGateway) => eventually(async () => (await left(gateway)) < 1000)
  await Promise.all([counted(one), counted(two)])
  const before = await left(one)
  t.equal(await left(two), before - 1)
  t.equal(await left(one), before - 2)

  await redis.kill()
  const away = performance.now()
  const uncounted = new Set<number>()
  while (performance.now() - away < 1000) uncounted.add(await left(one)).add(await left(two))
  t.ok(uncounted.has(1000), 'served without a count')
  const lines = (gateway: RunningGateway, text: RegExp) => gateway.log.filter(({ msg }) => text.test(String(msg))).length
  t.equal(lines(one, /Redis is down/), 1, 'logged once')
  await redis.restart()
  await Promise.all([counted(one), counted(two)])

  redis.pause()
  const slowest = async () => {
    const start = performance.now()
    await left(one)
    return performance.now() - start
  }
  await eventually(async () => (await slowest()) < 100)
  const times = []
  for (let n = 0; n < 30; n++) times.push(await slowest())
  t.ok(times.filter((time) => time > 200).length < 3, 'a Redis that hangs delays a few requests, not each')
  redis.resume()
  await counted(one)
  t.equal(lines(one, /Redis is down/), 2)
  t.equal(lines(one, /Redis is up/), 2)
})

t.test('browsers may call only from the configured origins', async (t) => {
  const user = await startFakeService(t)
  const env = { USER_SERVICE_URL: user.url, RATE_LIMIT_PER_MINUTE: '4' }
  const ask = (gateway: RunningGateway, origin: string, method = 'GET', headers = {}) =>
    sendExactly(gateway.url, '/api/v1/users', { method, headers: { origin, ...headers } })
  const preflight = { 'access-control-request-method': 'PUT', 'access-control-request-headers': 'idempotency-key,traceparent' }
  const corsNames = (answer: { headers: object }) => Object.keys(answer.headers).filter((name) => name.startsWith('access-'))

  const named = await runGateway(t, { ...env, CORS_ORIGINS: 'https://shop.example, https://admin.example' })
  for (const origin of ['https://shop.example', 'https://admin.example']) {
    const { status, headers } = await ask(named, origin)
    t.equal(status, 200)
    t.match(headers, { 'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true', vary: /origin/i })
    for (const name of ['x-request-id', 'retry-after', 'idempotency-replayed', 'location', 'x-ratelimit-remaining']) {
      t.match(headers['access-control-expose-headers'], name)
    }
  }
  const before = await ask(named, 'https://shop.example', 'OPTIONS', preflight)
  t.equal(before.status, 204)
  t.match(before.headers, {
    'access-control-allow-methods': /PUT/,
    'access-control-allow-headers': /idempotency-key.*traceparent/,
  })
  t.notOk('access-control-allow-origin' in (await ask(named, 'https://evil.example')).headers)
  t.equal((await ask(named, 'https://evil.example', 'OPTIONS', preflight)).headers['access-control-allow-origin'], undefined)
  t.equal((await ask(named, 'https://shop.example')).status, 200, 'a preflight is not counted')
  const limited = await ask(named, 'https://shop.example')
  t.match(limited, { status: 429, headers: { 'access-control-allow-origin': 'https://shop.example' } }, 'a 429 has CORS headers')
  t.match(await ask(named, 'https://shop.example', 'OPTIONS'), { status: 429 }, 'OPTIONS without preflight headers is counted')

  const any = await runGateway(t, { ...env, CORS_ORIGINS: '*' })
  const methods = await sendExactly(any.url, '/api/v1/users', { method: 'OPTIONS' })
  t.match(methods, { status: 204, headers: { allow: /GET/, 'content-type': undefined } }, 'OPTIONS returns the methods')
  const open = await ask(any, 'https://anywhere.example')
  t.equal(open.headers['access-control-allow-origin'], '*')
  t.notOk('access-control-allow-credentials' in open.headers)

  const none = await runGateway(t, env)
  t.strictSame(corsNames(await ask(none, 'https://shop.example')), [])
  t.strictSame(corsNames(await ask(none, 'https://shop.example', 'OPTIONS', preflight)), [])
})

t.test('the content security policy allows nothing for responses, and only our own files for the API reference', async (t) => {
  const { url } = await runGateway(t)
  const policyOf = async (path: string) => (await fetch(url + path)).headers.get('content-security-policy') ?? ''
  for (const path of ['/api/v1/users', '/health', '/none', '/openapi.json']) {
    t.equal(await policyOf(path), "default-src 'none';frame-ancestors 'none';base-uri 'none';form-action 'none'", path)
  }
  const reference = await policyOf('/docs/')
  t.match(reference, "default-src 'none'")
  t.match(reference, /script-src 'self'/)
  t.notMatch(reference, /https?:|\*|unsafe-eval/)
  const { headers } = await fetch(`${url}/docs/`)
  t.equal(headers.get('x-content-type-options'), 'nosniff')
})

t.test('connections per address are limited with a 429; health probes are still served', async (t) => {
  const gateway = await runGateway(t, { CONNECTIONS_PER_CLIENT: '3' })
  const { hostname, port } = new URL(gateway.url)
  const idle = (local?: string) => {
    const socket = connect({ port: Number(port), host: hostname, ...(local ? { localAddress: local } : {}) })
    socket.on('error', () => {})
    t.teardown(() => socket.destroy())
    return socket
  }
  const held = [idle(), idle(), idle()]
  await Promise.all(held.map((socket) => once(socket, 'connect')))
  const refused = await sendExactly(gateway.url, '/', { headers: { 'accept-language': 'zh-TW', connection: 'keep-alive' } })
  t.equal(refused.status, 429)
  t.match(JSON.parse(refused.text), { code: 'request.too_many_connections', detail: /連線/ })
  t.match(refused.headers, { connection: 'close', 'retry-after': '1' })
  t.match(await sendExactly(gateway.url, '/health/live'), { status: 200, headers: { connection: 'close' } })
  const many = Array.from({ length: 10 }, () => idle())
  await eventually(() => many.filter(({ closed }) => closed).length === 7)
  t.equal((await sendExactly(gateway.url, '/health/live')).status, 200, 'the oldest connections above the limit are closed')
  t.ok(held.every(({ closed }) => !closed))
  const other = idle('127.0.0.2')
  other.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  t.match(String((await once(other, 'data'))[0]), /^HTTP\/1.1 200/, 'another address has its own limit')
  for (const socket of [...held, ...many]) socket.destroy()
  await eventually(async () => (await statusOf(gateway, '/')) === 200)
})
