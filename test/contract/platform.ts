import { connect } from 'node:net'
import type { Test } from 'tap'
import { call } from '../../testing/app.ts'
import { type Client, isProblem } from './target.ts'

const routes = {
  '/': ['get'],
  '/api/v1/auth/login': ['post'],
  '/api/v1/auth/refresh': ['post'],
  '/api/v1/auth/logout': ['post'],
  '/api/v1/auth/me': ['get'],
  '/api/v1/auth/password': ['post'],
  '/api/v1/auth/password/forgot': ['post'],
  '/api/v1/auth/password/reset': ['post'],
  '/api/v1/auth/activate': ['post'],
  '/api/v1/auth/reauthenticate': ['post'],
  '/api/v1/auth/mfa/enrol': ['post'],
  '/api/v1/auth/mfa/confirm': ['post'],
  '/api/v1/auth/mfa': ['delete'],
  '/api/v1/users/{id}/export': ['get'],
  '/api/v1/audit': ['get'],
  '/api/v1/audit/{id}': ['get'],
  '/api/v1/audit/{id}/proof': ['get'],
  '/api/v1/audit/checkpoint': ['get'],
  '/api/v1/audit/snapshot': ['get'],
  '/api/v1/users': ['get', 'post'],
  '/api/v1/users/{id}': ['delete', 'get', 'patch'],
  '/api/v1/users/{id}/mfa': ['delete'],
  '/api/v1/products': ['get', 'post'],
  '/api/v1/products/{id}': ['delete', 'get', 'patch'],
  '/api/v1/orders': ['get', 'post'],
  '/api/v1/orders/{id}': ['get', 'patch'],
  '/api/v1/orders/{id}/cancel': ['post'],
  '/api/v1/inventory': ['get'],
  '/api/v1/orders/dead-letters': ['get'],
  '/api/v1/orders/dead-letters/replay': ['post'],
  '/api/v1/orders/dead-letters/{event_id}/replay': ['post'],
  '/api/v1/inventory/{product_id}': ['delete', 'put'],
  '/api/v1/notifications': ['get'],
  '/api/v1/notifications/{id}': ['get'],
  '/api/v1/notifications/{id}/retry': ['post'],
  '/api/v1/audit/dead-letters': ['get'],
  '/api/v1/audit/dead-letters/replay': ['post'],
  '/api/v1/audit/dead-letters/{event_id}/replay': ['post'],
  '/api/v1/notifications/dead-letters': ['get'],
  '/api/v1/notifications/dead-letters/replay': ['post'],
  '/api/v1/notifications/dead-letters/{event_id}/replay': ['post'],
  '/health': ['get'],
  '/health/live': ['get'],
  '/health/ready': ['get'],
}

/** Sends one raw request. @returns the status line of the response */
const statusLine = (url: string, request: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(request))
    socket.once('data', (data) => {
      resolve(String(data).split('\r\n', 1)[0] as string)
      socket.destroy()
    })
    socket.once('error', reject)
  })

export const platformSuite = async (t: Test, client: Client): Promise<void> => {
  await t.test('health', async (t) => {
    for (const path of ['/health', '/health/live', '/health/ready']) {
      const { status, body } = await call(client.url + path)
      t.equal(status, 200, path)
      t.match(body, { status: 'healthy', service: client.service })
      t.ok(Math.abs(Date.now() - Date.parse(body.timestamp)) < 60_000)
    }
  })

  await t.test('paths without a version', async (t) => {
    const [versioned, unversioned] = await Promise.all(
      ['/api/v1', '/api'].map((base) => call(`${client.url}${base}/users/1`, 'GET', undefined, client.identity)),
    )
    t.equal(unversioned?.status, 200)
    t.same(unversioned?.body, versioned?.body)
    t.equal((await call(`${client.url}/api/orders?limit=1`, 'GET', undefined, client.identity)).body.count, 1)
  })

  await t.test('the OpenAPI document has every route', async (t) => {
    const { status, body } = await call(`${client.url}/openapi.json`)
    t.equal(status, 200)
    t.match(body.openapi, /^3\.1/)
    const documented = Object.fromEntries(
      Object.entries(body.paths as Record<string, object>).map(([path, methods]) => [path, Object.keys(methods).sort()]),
    )
    t.same(documented, routes)
    t.equal((await fetch(`${client.url}/docs`)).status, 200)
  })

  await t.test('pages for mailed links, with their files', async (t) => {
    for (const path of ['/activate', '/reset-password']) {
      const { status, body, headers } = await call(`${client.url}${path}`, 'GET', undefined, { 'accept-language': 'zh-TW' })
      t.equal(status, 200)
      t.equal(headers.get('content-type'), 'text/html; charset=utf-8')
      t.match(body, '<html lang="zh-TW">')
      const files = [...body.matchAll(/(?:src|href)="(assets\/[^"]+)"/g)].map(([, file]) => file)
      t.equal(files.length, 2, 'a style sheet and a script')
      for (const file of files) t.match(await call(`${client.url}/${file}`), { status: 200 }, file)
      const [, endpoint] = /data-endpoint="([^"]+)"/.exec(body) ?? []
      const refused = await call(`${client.url}/${endpoint}`, 'POST', { token: 'x', password: 'a quiet harbour 7' })
      isProblem(t, refused, 400, 'auth.invalid_mail_token')
    }
  })

  await t.test('unknown routes', async (t) => {
    isProblem(t, await client.get('/nothing'), 404, 'route.not_found')
    isProblem(t, await call(`${client.url}/nothing`), 404, 'route.not_found')
    isProblem(t, await call(`${client.url}/api/v2/users`), 404, 'route.not_found')
  })

  await t.test('methods that a path does not support', async (t) => {
    for (const [method, path, allow] of [
      ['DELETE', '/api/v1/orders/1', 'GET, HEAD, PATCH, OPTIONS'],
      ['PUT', '/api/orders', 'GET, HEAD, POST, OPTIONS'],
      ['GET', '/api/v1/auth/login', 'POST, OPTIONS'],
      ['POST', '/health', 'GET, HEAD, OPTIONS'],
    ] as const) {
      const refused = await call(client.url + path, method)
      isProblem(t, refused, 405, 'request.method_not_allowed')
      const asked = await call(client.url + path, 'OPTIONS')
      t.same([refused.headers.get('allow'), asked.status, asked.headers.get('allow')], [allow, 204, allow], `${method} ${path}`)
    }
    isProblem(t, await call(`${client.url}/api/v1/nothing`, 'OPTIONS'), 404, 'route.not_found')
    const { detail } = (await call(`${client.url}/health`, 'DELETE', undefined, { 'accept-language': 'zh-TW' })).body
    t.equal(detail, '此位址不接受這個方法。')
  })

  await t.test('bodies that are not JSON', async (t) => {
    const send = async (body: string, type: string) => {
      const response = await fetch(`${client.url}/api/v1/users`, { method: 'POST', headers: { 'content-type': type }, body })
      return { status: response.status, body: JSON.parse(await response.text()), headers: response.headers }
    }
    isProblem(t, await send('{"name":', 'application/json'), 400, 'request.malformed')
    isProblem(t, await send('{"__proto__":{"a":1},"name":"x"}', 'application/json'), 400, 'request.malformed')
    isProblem(t, await send('name=x', 'application/x-www-form-urlencoded'), 415, 'request.unsupported_media_type')
    isProblem(t, await send(JSON.stringify({ name: 'x'.repeat(2 ** 20) }), 'application/json'), 413, 'request.too_large')
    isProblem(t, await client.post('/users'), 400, 'request.invalid')
  })

  await t.test('each response has its request id and trace id', async (t) => {
    const trace = '0af7651916cd43dd8448eb211c80319c'
    const answer = await client.get('/users/2000000000', {
      'x-request-id': 'request-12345',
      traceparent: `00-${trace}-b7ad6b7169203331-01`,
    })
    isProblem(t, answer, 404, 'user.not_found', { trace_id: trace })
    t.equal(answer.headers.get('x-request-id'), 'request-12345')
    t.match((await client.get('/users/1')).headers.get('x-request-id'), /^[\w-]{8,}$/)
  })

  // The loopback binding needs these routes.
  if (client.loopback) return
  await t.test('clients cannot use the calls between modules', async (t) => {
    for (const path of [
      '/internal/user/getUser',
      '/api/internal/user/getUser',
      '/api/v1/internal/user/getUser',
      '/api/v1/../../internal/user/getUser',
    ]) {
      const body = '{"id":1}'
      const head = `POST ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
      t.match(await statusLine(client.url, head + body), /^HTTP\/1\.1 40[0-5]/, path)
    }
  })
}
