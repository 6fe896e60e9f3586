import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer as createHttpsServer } from 'node:https'
import { connect, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { serviceNames } from '../../../src/environment.ts'
import { issueAccessToken } from '../../../src/platform/auth/access-tokens.ts'
import { initKeys } from '../../../src/platform/keys/key-files.ts'
import { createKeyStore } from '../../../src/platform/keys/key-store.ts'
import { eventually } from '../../../testing/eventually.ts'
import { runGateway, sendExactly, startFakeService } from '../../../testing/gateway.ts'
import { freePort } from '../../../testing/port.ts'

t.setTimeout(120_000)

const json = { 'content-type': 'application/json' }

// Setting: `retryDelay: () => null`; without it a GET with response 503 reaches the service 11 times.
t.test('a request with a response is never retried; one without a response is retried once if it is a read', async (t) => {
  const user = await startFakeService(t, ({ headers }, response) => {
    if (headers['idempotency-key'] === 'reset') return response.destroy()
    response.writeHead(503, { ...json, 'retry-after': '7' })
    response.end('{"code":"database.busy"}')
  })
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url })
  for (const [method, tries] of [
    ['GET', 2],
    ['POST', 1],
  ] as const) {
    const busy = await sendExactly(url, '/api/v1/users', { method })
    t.match(
      busy,
      { status: 503, text: '{"code":"database.busy"}', headers: { 'retry-after': '7' } },
      'the response of the service',
    )
    const lost = await sendExactly(url, '/api/v1/users', { method, headers: { 'idempotency-key': 'reset' } })
    t.equal(lost.status, 503)
    t.equal(JSON.parse(lost.text).code, 'user.unavailable', 'no response from the service')
    t.equal(user.received.splice(0).length, 1 + tries, `${method}: one attempt of the first, ${tries} of the second`)
  }
})

// Setting: `onError` and the error handler of the proxy's scope; without them a dead service is a 500 that shows its address.
t.test('a service that is down gives a 503 problem without its address', async (t) => {
  const port = await freePort()
  const { api, log } = await runGateway(t, { ORDER_SERVICE_URL: `http://127.0.0.1:${port}` })
  for (const method of ['GET', 'POST']) {
    const { status, body, headers } = await api('/orders', method, method === 'POST' ? {} : undefined)
    t.match(body, { success: false, code: 'order.unavailable', status: 503, trace_id: /^[0-9a-f]{32}$/ })
    t.match({ status, type: headers.get('content-type') }, { status: 503, type: /^application\/problem\+json/ })
    t.equal(headers.get('retry-after'), '1')
    t.notMatch(JSON.stringify(body) + JSON.stringify([...headers]), String(port))
  }
  t.ok(
    log.some(({ err }) => JSON.stringify(err ?? null).includes('ECONNREFUSED')),
    'the reason is logged',
  )
  const { body } = await api('/orders', 'GET', undefined, { 'accept-language': 'zh-TW' })
  t.equal(body.detail, '訂單服務沒有回應。')
})

t.test('consecutive failed connections open the circuit breaker, which allows a request about a second later', async (t) => {
  let tried = 0
  const broken = createTcpServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', (data) => {
      if (data.includes('/api/v1/')) tried += 1
      socket.destroy()
    })
  }).listen(0, '127.0.0.1')
  await once(broken, 'listening')
  const { port } = broken.address() as { port: number }
  const { api } = await runGateway(t, { USER_SERVICE_URL: `http://127.0.0.1:${port}` })
  for (let n = 0; n < 20; n++) t.equal((await api('/users')).body.code, 'user.unavailable')
  t.ok(tried >= 10 && tried <= 14, `5 to 7 of 20 requests were sent, each twice: ${tried}`)
  broken.close()
  await once(broken, 'close')
  const user = await startFakeService(t, undefined, { port })
  await eventually(async () => (await api('/users')).status === 200)
  for (let n = 0; n < 10; n++) t.equal((await api('/users')).status, 200, 'closed again')
  t.equal(user.received.length, 11)
})

t.test('a read whose connection is closed is sent once more; a write is not', async (t) => {
  const user = await startFakeService(t, ({ headers, method }, response) => {
    const before = user.received.filter(
      (one) => one.headers['idempotency-key'] === headers['idempotency-key'] && one.method === method,
    )
    if (headers['idempotency-key'] && before.length === 1) response.destroy()
    else response.end('{}')
  })
  const { api } = await runGateway(t, { USER_SERVICE_URL: user.url })
  const statuses = await Promise.all(
    Array.from({ length: 12 }, async (_, n) => (await api('/users', 'GET', undefined, { 'idempotency-key': String(n) })).status),
  )
  t.same(statuses, Array(12).fill(200), 'several at once do not open the breaker')
  t.equal(user.received.length, 24)
  for (const method of ['PATCH', 'DELETE']) {
    const { status, body } = await api('/users/1', method, undefined, { 'idempotency-key': method })
    t.match({ status, body }, { status: 503, body: { code: 'user.unavailable' } })
    t.equal(user.received.filter((one) => one.method === method).length, 1)
  }
})

t.test('a write goes to another target if no connection was established', async (t) => {
  const [one, other] = [await startFakeService(t), await startFakeService(t)]
  const { api } = await runGateway(t, { USER_SERVICE_URL: `${one.url},${other.url}` })
  for (let n = 0; n < 2; n++) t.equal((await api('/users')).status, 200)
  t.same([one.received.length, other.received.length], [1, 1], 'round robin')
  await other.stop()
  for (let n = 0; n < 2; n++) t.equal((await api('/users', 'POST', {})).status, 200)
  t.equal(one.received.length, 3)
})

t.test('consecutive failed connections do not open the breaker while as many requests succeed', async (t) => {
  const user = await startFakeService(t, ({ method }, response) => {
    if (method === 'POST') response.destroy()
    else response.end('{}')
  })
  const { api } = await runGateway(t, { USER_SERVICE_URL: user.url })
  for (let n = 0; n < 10; n++) t.equal((await api('/users')).status, 200)
  for (let n = 0; n < 8; n++) t.equal((await api('/users', 'POST', {})).status, 503)
  t.equal((await api('/users')).status, 200)
})

t.test('failures that one client can cause do not open the breaker', async (t) => {
  const user = await startFakeService(t, ({ headers }, response) => {
    if (headers['idempotency-key'] !== 'hang') response.end()
  })
  const { url, api } = await runGateway(t, { USER_SERVICE_URL: user.url, REQUEST_TIMEOUT_MS: '200' })
  for (let n = 0; n < 6; n++) {
    const signal = AbortSignal.timeout(20)
    await t.rejects(sendExactly(url, '/api/v1/users', { signal, headers: { 'idempotency-key': 'hang' } }), 'hung up')
  }
  const slow = await Promise.all(Array.from({ length: 6 }, () => api('/users', 'GET', undefined, { 'idempotency-key': 'hang' })))
  t.ok(slow.every(({ status }) => status === 504))
  t.equal((await api('/users')).status, 200)
})

t.test('a service that is too slow gives a 504 problem', async (t) => {
  const user = await startFakeService(t, ({ url }, response) => {
    if (url.endsWith('/half')) response.writeHead(200, { 'content-length': '100' }).write('half')
  })
  const { url, api } = await runGateway(t, { USER_SERVICE_URL: user.url, REQUEST_TIMEOUT_MS: '300' })
  const start = performance.now()
  const { status, body } = await api('/users')
  t.equal(status, 504)
  t.match(body, { code: 'upstream.timeout', success: false })
  t.ok(performance.now() - start < 5000, 'long before any other timeout')
  await t.rejects(sendExactly(url, '/api/v1/users/half'), 'a response that has begun is aborted')
})

t.test('the deadline applies to the start of a response: a long one continues while data flows', async (t) => {
  const parts = 20
  const user = await startFakeService(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/jsonl' })
    let sent = 0
    const timer = setInterval(() => {
      response.write('x'.repeat(65_536))
      if (++sent < parts) return
      clearInterval(timer)
      response.end()
    }, 100)
  })
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url, REQUEST_TIMEOUT_MS: '1500' })
  const { status, text } = await sendExactly(url, '/api/v1/users')
  t.match([status, text.length], [200, parts * 65_536])
})

t.test('a client that reads slowly gets the whole response, long after the deadline', async (t) => {
  const size = 24 * 1024 * 1024
  const user = await startFakeService(t, (_request, response) => {
    response.writeHead(200, { 'content-length': size })
    response.end(Buffer.alloc(size))
  })
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url, REQUEST_TIMEOUT_MS: '1500', WRITE_TIMEOUT_MS: '20000' })
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.write('GET /api/v1/users HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  let bytes = 0
  const rests = [5, 10, 15].map((part) => (part * size) / 20)
  for await (const chunk of socket) {
    bytes += chunk.length
    if (bytes < (rests[0] ?? Number.POSITIVE_INFINITY)) continue
    rests.shift()
    await new Promise((resolve) => setTimeout(resolve, 700))
  }
  t.ok(bytes > size, `${bytes} bytes`)
})

t.test('a client that does not read is disconnected, and its request to the service ends', async (t) => {
  const size = 64 * 1024 * 1024
  let ended = 0
  const user = await startFakeService(t, (_request, response) => {
    response.once('close', () => ended++)
    response.writeHead(200, { 'content-length': size })
    response.end(Buffer.alloc(size))
  })
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url, WRITE_TIMEOUT_MS: '300' })
  const { hostname, port } = new URL(url)
  const sockets = Array.from({ length: 3 }, () => {
    const socket = connect(Number(port), hostname)
    t.teardown(() => socket.destroy())
    socket.write('GET /api/v1/users HTTP/1.1\r\nHost: x\r\n\r\n')
    return socket
  })
  await eventually(() => ended === sockets.length, { timeoutMs: 60_000 })
})

t.test('a truncated response is not forwarded as complete', async (t) => {
  const user = await startFakeService(t, ({ url }, response) => {
    response.writeHead(200, { 'content-length': '100', 'content-encoding': 'br', etag: '"x"' })
    if (url.endsWith('/half')) response.write('half')
    else response.flushHeaders()
    setImmediate(() => response.destroy())
  })
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url })
  await t.rejects(sendExactly(url, '/api/v1/users/half'))
  const { status, text, headers } = await sendExactly(url, '/api/v1/users/none')
  t.equal(status, 503)
  t.equal(JSON.parse(text).code, 'user.unavailable')
  t.notOk(headers.etag ?? headers['content-encoding'])
})

t.test('when the client disconnects, the request to the service ends too', async (t) => {
  let ended = 0
  const user = await startFakeService(t, (_request, response) => response.once('close', () => ended++))
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url })
  for (const method of ['GET', 'POST']) {
    const controller = new AbortController()
    const body = method === 'POST' ? { body: '{}', headers: json } : {}
    const asked = sendExactly(url, '/api/v1/users', { method, ...body, signal: controller.signal })
    asked.catch(() => {})
    await eventually(() => user.received.length > 0)
    controller.abort()
    await eventually(() => ended > 0)
    t.pass(method)
    ended = 0
    user.received.length = 0
  }
})

t.test('a request whose client disconnects during authentication is not forwarded', async (t) => {
  const keysDir = join(mkdtempSync(join(tmpdir(), 'orderhub-keys-')), 'keys')
  t.teardown(() => rmSync(keysDir, { recursive: true }))
  await initKeys(keysDir, serviceNames)
  const keys = createKeyStore({ folder: keysDir, strict: false })
  const { token } = await issueAccessToken(keys, { userId: 1, sessionVersion: 1 })
  const waiting: (() => void)[] = []
  const user = await startFakeService(t, ({ url }, response) => {
    if (!url.startsWith('/internal')) return response.end('{}')
    return waiting.push(() => response.end(JSON.stringify([{ id: 1, session_version: 1, role: 'admin', mfa_satisfied: true }])))
  })
  const { url, log } = await runGateway(t, { USER_SERVICE_URL: user.url, AUTH: 'on', KEYS_DIR: keysDir })
  const ask = (signal?: AbortSignal) => {
    const headers = { authorization: `Bearer ${token}`, 'x-request-id': signal ? 'of-who-goes' : 'of-who-stays' }
    return sendExactly(url, '/api/v1/users', { headers, ...(signal ? { signal } : {}) })
  }
  const controller = new AbortController()
  const gone = ask(controller.signal)
  await eventually(() => waiting.length === 1)
  controller.abort()
  await t.rejects(gone)
  const stays = ask()
  await eventually(() => waiting.length === 2)
  for (const answer of waiting) answer()
  t.equal((await stays).status, 200)
  t.same(
    user.received.filter(({ url }) => !url.startsWith('/internal')).map(({ headers }) => headers['x-request-id']),
    ['of-who-stays'],
  )
  t.equal(log.filter(({ level }) => level === 'error').length, 0)
})

const selfSigned = (t: Test) => {
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-tls-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert],
  ])
  return made.status === 0 ? { key: readFileSync(key), cert: readFileSync(cert) } : undefined
}

// Setting: `undici: dispatcher`; in a dispatcher that the plugin makes, `rejectUnauthorized` is false.
t.test('a service with an untrusted certificate gets no request', async (t) => {
  const files = selfSigned(t)
  if (!files) {
    console.log('# skipped: openssl is not installed')
    return
  }
  const user = await startFakeService(t, undefined, { create: (listener) => createHttpsServer(files, listener) })
  const { api, url, log } = await runGateway(t, { USER_SERVICE_URL: user.url })
  t.match(await api('/users'), { status: 503, body: { code: 'user.unavailable' } })
  t.strictSame(user.received, [])
  t.match(JSON.stringify(log), /self-signed certificate/)
  const { upstreams } = (await (await fetch(`${url}/health`)).json()) as { upstreams: Record<string, unknown> }
  t.match(upstreams['user-service'], { status: 'unhealthy' })
})

t.test('requests are distributed over the targets; one that is down gets none', async (t) => {
  const [one, two] = await Promise.all([startFakeService(t), startFakeService(t)])
  const { api } = await runGateway(t, { USER_SERVICE_URL: `${one.url},${two.url}` })
  for (let n = 0; n < 10; n++) await api('/users')
  t.strictSame([one.received.length, two.received.length], [5, 5])
  await two.stop()
  await eventually(async () => {
    const answers = await Promise.all(Array.from({ length: 4 }, () => api('/users')))
    return answers.every(({ status }) => status === 200)
  })
})

t.test('a target that lost a request gets no other until it is ready again', async (t) => {
  const [one, two] = await Promise.all([startFakeService(t), startFakeService(t, (_request, response) => response.destroy())])
  const { api } = await runGateway(t, { USER_SERVICE_URL: `${one.url},${two.url}` })
  await eventually(async () => {
    await eventually(async () => (await api('/users', 'POST', {})).status === 503)
    for (let n = 0; n < 4; n++) if ((await api('/users', 'POST', {})).status !== 200) return false
    return true
  })
})
