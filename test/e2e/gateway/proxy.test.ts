import t from 'tap'
import { runGateway, sendExactly, sendRaw, startFakeService } from '../../../testing/gateway.ts'

const kibibyte = 1024
const json = { 'content-type': 'application/json' }

t.test('a path is forwarded to the service that owns it, with its query unchanged', async (t) => {
  const [user, order] = await Promise.all([startFakeService(t), startFakeService(t)])
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url, ORDER_SERVICE_URL: order.url })
  const paths = ['/api/v1/users?a=1&b=%20x&c=2', '/api/v1/users/7', '/api/users/8?c', '/api/v1/users/a%2Fb']
  for (const path of paths) t.equal((await sendExactly(url, path)).status, 200, path)
  t.equal((await sendExactly(url, '/api/orders')).status, 200)
  t.strictSame(
    user.received.map((request) => request.url),
    ['/api/v1/users?a=1&b=%20x&c=2', '/api/v1/users/7', '/api/v1/users/8?c', '/api/v1/users/a%2Fb'],
  )
  t.strictSame(
    order.received.map((request) => request.url),
    ['/api/v1/orders'],
  )
  t.equal((await sendExactly(url, '/api/v1/usersx')).status, 404)
  t.match(await sendExactly(url, '/api/v1/users', { method: 'OPTIONS' }), {
    status: 204,
    headers: { allow: 'GET, HEAD, POST, OPTIONS' },
  })
  t.match(await sendExactly(url, '/api/v1/users', { method: 'PUT' }), {
    status: 405,
    headers: { allow: 'GET, HEAD, POST, OPTIONS' },
    text: /request.method_not_allowed/,
  })
  t.equal(user.received.length, 4, 'an unknown method is not forwarded')
})

t.test('methods, bodies, statuses and responses are forwarded unchanged', async (t) => {
  const user = await startFakeService(t, ({ method, body }, response) => {
    response.writeHead(method === 'POST' ? 201 : 200, { ...json, location: '/api/v1/users/9', 'content-length': '13' })
    response.end(method === 'HEAD' ? undefined : `{"n":${body.length || 12345}    }`.slice(0, 12).padEnd(13))
  })
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url })
  for (const method of ['POST', 'PATCH', 'DELETE']) {
    const body = '{ "text": "未變 \\u0041" }'
    const answer = await sendExactly(url, `/api/v1/users${method === 'POST' ? '' : '/9'}`, { method, body, headers: json })
    t.equal(answer.status, method === 'POST' ? 201 : 200, method)
    t.equal(answer.headers.location, '/api/v1/users/9')
    t.match(user.received.pop(), { method, body, headers: json })
  }
  const head = await sendExactly(url, '/api/v1/users', { method: 'HEAD' })
  t.match(head, { status: 200, text: '', headers: { 'content-length': '13' } })
  t.equal(user.received.pop()?.method, 'HEAD')
  const withBody = await sendExactly(url, '/api/v1/users', { body: 'ignored', headers: json })
  t.equal(withBody.status, 200, 'the body of a GET is not forwarded')
  t.equal((await sendExactly(url, '/api/v1/users/9', { method: 'DELETE' })).status, 200, 'DELETE without a body')
})

t.test('only JSON is accepted, as in one process', async (t) => {
  const user = await startFakeService(t)
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url })
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', '']) {
    const headers: Record<string, string> = type ? { 'content-type': type } : {}
    const answer = await sendExactly(url, '/api/v1/users', { method: 'POST', body: 'x', headers })
    t.equal(answer.status, 415, type)
    t.match(JSON.parse(answer.text), { code: 'request.unsupported_media_type', success: false })
  }
  t.strictSame(user.received, [])
})

// Setting: `proxyPayloads: false` and a parser that reads the body; the plugin's own parser forwards the stream without a limit.
t.test("a body above its route's limit is refused, with or without Content-Length", async (t) => {
  const [user, order] = await Promise.all([startFakeService(t), startFakeService(t)])
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url, ORDER_SERVICE_URL: order.url })
  const send = (path: string, bytes: number, headers: Record<string, string>) =>
    sendExactly(url, path, { method: 'POST', body: `{}${' '.repeat(bytes - 2)}`, headers: { ...json, ...headers } })
  const routes: [path: string, limit: number][] = [
    ['/api/v1/users', 16 * kibibyte],
    ['/api/v1/auth/login', 16 * kibibyte],
    ['/api/v1/orders', 256 * kibibyte],
    ['/api/orders/7/cancel?x=1', 16 * kibibyte],
  ]
  const forms: Record<string, string>[] = [{}, { 'transfer-encoding': 'chunked' }]
  for (const headers of forms) {
    for (const [path, limit] of routes) {
      t.equal((await send(path, limit, headers)).status, 200, `${path} ${JSON.stringify(headers)}`)
      const answer = await send(path, limit + 1, headers)
      t.equal(answer.status, 413, `${path} ${JSON.stringify(headers)}`)
      t.equal(JSON.parse(answer.text).code, 'request.too_large')
    }
  }
  t.equal(user.received.length + order.received.length, 8)
})

t.test('bodies that no service accepts are refused by the gateway', async (t) => {
  const user = await startFakeService(t)
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url })
  const deep = `${'['.repeat(33)}${']'.repeat(33)}`
  for (const body of [deep, '{"a":1,"a":2}', Buffer.from('{"a":"\xb3"}', 'latin1'), '"\\u0000"']) {
    const answer = await sendExactly(url, '/api/v1/users', { method: 'POST', body, headers: json })
    t.equal(answer.status, 400, String(body))
  }
  for (const headers of [{ ...json, 'content-encoding': 'gzip' }, { 'content-type': 'application/json; charset=big5' }])
    t.equal((await sendExactly(url, '/api/v1/users', { method: 'POST', body: '{}', headers })).status, 415)
  t.strictSame(user.received, [])
  const empty = { method: 'POST', body: '', headers: { 'content-type': 'application/x-www-form-urlencoded' } }
  t.equal((await sendExactly(url, '/api/v1/users', empty)).status, 200)
  t.match(user.received, [{ body: '' }])
})

t.test('invalid requests, and requests for other hosts', async (t) => {
  const user = await startFakeService(t)
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url })
  const { host } = new URL(url)
  const raw = (line: string) => sendRaw(url, `${line} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
  t.match(await raw('GET http://example.com/internal/user/getUser'), /^HTTP\/1.1 4\d\d/)
  t.match(await raw('GET internal'), /^HTTP\/1.1 4\d\d/)
  t.match(await raw('CONNECT 127.0.0.1:22'), /^(HTTP\/1.1 4\d\d|$)/)
  t.match(await raw('TRACE /api/v1/users'), /^HTTP\/1.1 405/)
  t.match(await raw('GET /api/v1/users/%zz'), /^HTTP\/1.1 400[\s\S]*application\/problem\+json/)
  t.match(await raw('GET /api/v1/users/%00'), /^HTTP\/1.1 400[\s\S]*request.invalid_text/)
  t.strictSame(user.received, [])
})
