import t from 'tap'
import { call } from '../../../testing/app.ts'
import { runGateway, sendExactly, sendRaw, startFakeService } from '../../../testing/gateway.ts'
import { startPostgres } from '../../../testing/postgres.ts'
import { startService } from '../../../testing/service.ts'

// One user service process for all tests of this file.
const postgres = await startPostgres()
const database = await postgres.createDatabase('users', ['user'])
const user = await startService('user', { DATABASE_URL: database, SEED: 'true' })
t.teardown(async () => {
  await user.kill()
  await postgres.stop()
})

t.test('a user is created, read, changed and deleted through the gateway', async (t) => {
  const { api } = await runGateway(t, { USER_SERVICE_URL: user.url })
  const created = await api('/users', 'POST', { name: '張大文', email: 'wen@example.com' })
  t.equal(created.status, 201)
  const path = `/users/${created.body.data.id}`
  t.match((await api(path)).body, { success: true, data: { name: '張大文', email: 'wen@example.com' } })
  t.match(await api(path, 'PATCH', { locale: 'zh-TW' }), { status: 200, body: { data: { locale: 'zh-TW' } } })
  t.match(await api(path, 'DELETE'), { status: 200, body: { data: { name: '張大文' } } })
  t.match(await api(path), { status: 404, body: { code: 'user.not_found' } })
  t.match(await api('/users', 'POST', { name: 1 }), { status: 400, body: { code: 'request.invalid' } })
})

t.test("a response through the gateway equals the service's response", async (t) => {
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url })
  const requests = [
    { path: '/api/v1/users?limit=2' },
    { path: '/api/v1/users?limit=0' },
    { path: '/api/v1/users/1' },
    { path: '/api/v1/users/x' },
    { path: '/api/v1/users/1', method: 'HEAD' },
    { path: '/api/v1/users/1/none' },
    { path: '/api/v1/users', method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":' },
    { path: '/api/v1/users', method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":"\\u0000"}' },
    { path: '/api/v1/users', method: 'POST', headers: { 'content-type': 'application/json' }, body: '' },
    { path: '/api/v1/users', method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'x' },
    { path: '/api/v1/users', method: 'POST' },
    { path: '/api/v1/users', method: 'OPTIONS' },
  ]
  const headers = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }
  for (const { path, ...options } of requests) {
    const all = { ...options, headers: { ...headers, ...options.headers } }
    const [direct, proxied] = [await sendExactly(user.url, path, all), await sendExactly(url, path, all)]
    const said = `${options.method ?? 'GET'} ${path} ${options.body ?? ''} ${direct.status}`
    t.strictSame([proxied.status, proxied.text], [direct.status, direct.text], said)
    t.equal(proxied.headers['content-type'], direct.headers['content-type'])
    t.equal(proxied.headers['content-length'], direct.headers['content-length'])
  }
})

t.test('internal operations cannot be reached through the gateway, however the path is written', async (t) => {
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url })
  const operation = 'internal/user/getUser'
  const ask = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"id":1}' }
  t.equal((await sendExactly(user.url, `/${operation}`, ask)).status, 200, 'reachable at the service')
  const up = ['..', '%2e%2e', '.%2E', '..%00', '..;', '%252e%252e', '%c0%ae%c0%ae', '..%5c', '..\\']
  const slashes = ['/', '%2f', '%2F', '%5c', '\\', '//', '%252f']
  const paths = [
    ...[`/${operation}`, `//${operation}`, `/%69nternal/user/getUser`, `/internal%2fuser%2fgetUser`, `/INTERNAL/user/getUser`],
    ...[
      `/api/${operation}`,
      `/api//${operation}`,
      `/api/v1/${operation}`,
      `/api/v1//${operation}`,
      `/api/v1/users//${operation}`,
    ],
    ...[`/api/../${operation}`, `/api/v1/../../${operation}`, `/./${operation}`, `/api/v1/users/;/../../../${operation}`],
    ...up.flatMap((dots) => slashes.map((slash) => `/api/v1/users/${[dots, dots, dots, operation].join(slash)}`)),
    ...slashes.map((slash) => `/api/v1/users${slash}..${slash}..${slash}..${slash}${operation}`),
    ...[`/api/v1/users?/../../../${operation}`, `/api/v1/users#/../../../${operation}`],
  ]
  for (const path of paths) {
    const { status, text } = await sendExactly(url, path, ask)
    t.ok(status >= 400 && status < 500, `${path} ${status}`)
    t.notMatch(text, '陳小明')
  }
  const { host } = new URL(url)
  for (const target of [`http://${host}/${operation}`, `http://${new URL(user.url).host}/${operation}`, operation]) {
    const lines = [`POST ${target} HTTP/1.1`, `Host: ${host}`, 'Connection: close', 'Content-Type: application/json']
    const answer = await sendRaw(url, `${[...lines, 'Content-Length: 8'].join('\r\n')}\r\n\r\n{"id":1}`)
    t.match(answer, /^HTTP\/1.1 4\d\d/, target)
    t.notMatch(answer, '陳小明')
  }
})

t.test('a service that is down does not affect the others', async (t) => {
  const order = await startFakeService(t)
  const { url, api } = await runGateway(t, { USER_SERVICE_URL: user.url, ORDER_SERVICE_URL: order.url })
  await order.stop()
  t.equal((await api('/orders')).status, 503)
  t.equal((await api('/users')).status, 200)
  t.equal((await call(`${url}/health`)).status, 200)
})
