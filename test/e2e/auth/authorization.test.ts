import t, { type Test } from 'tap'
import { policy } from '../../../src/policy.ts'
import { call, runApp } from '../../../testing/app.ts'
import { runMatrix } from '../../../testing/authorization-matrix.ts'
import { createWorld } from '../../../testing/authorization-world.ts'
import { sendExactly } from '../../../testing/gateway.ts'
import { asService, signedIn } from '../../../testing/people.ts'
import { routesOfServer } from '../../../testing/server-routes.ts'

t.setTimeout(120_000)

const start = async (t: Test, env: Record<string, string> = {}) => {
  const running = await runApp(t, { AUTH: 'on', ...env })
  return { ...running, world: await createWorld(running) }
}

const items = (id: number, quantity = 1) => [{ product_id: id, quantity }]

t.test('every route for every caller, in one process', async (t) => {
  const { app, world } = await start(t)
  const routes = routesOfServer(app.http)
  t.same(Object.keys(policy.routes).sort(), routes, 'the policy has exactly the routes')
  t.ok((await runMatrix(t, world, routes)) >= routes.length * 8)
})

t.test('users', async (t) => {
  const { world, keysDir, url } = await start(t)
  const { api, owner, other, support, headers, product } = world
  const as = ({ headers }: { headers: Record<string, string> }) => headers

  await t.test('users can order only for themselves', async (t) => {
    const unnamed = await api('/orders', 'POST', { items: items(product.id) }, as(owner))
    t.match(unnamed, { status: 201, body: { data: { user_id: owner.id } } })
    const foreign = await api('/orders', 'POST', { user_id: owner.id, items: items(product.id) }, as(other))
    t.match(foreign, { status: 403, body: { code: 'auth.forbidden' } })
    const helped = await api('/orders', 'POST', { user_id: owner.id, items: items(product.id) }, as(support))
    t.match(helped, { status: 201, body: { data: { user_id: owner.id } } })
    const own = await api('/orders', 'POST', { items: items(product.id) }, as(support))
    t.match(own, { status: 201, body: { data: { user_id: support.id } } })
  })

  await t.test('another user’s order gives the same response as a missing order', async (t) => {
    const { id } = await world.order(owner.id)
    for (const [path, method] of [[`/orders/${id}`], [`/orders/${id}/cancel`, 'POST']] as const) {
      const foreign = await api(path, method, undefined, as(other))
      const missing = await api(path.replace(String(id), '2147483647'), method, undefined, as(other))
      t.match(foreign, { status: 404, body: { code: 'order.not_found' } })
      t.same(Object.keys(foreign.body), Object.keys(missing.body))
    }
    t.equal((await api(`/orders/${id}`, 'GET', undefined, as(owner))).body.data.status, 'pending', 'not cancelled')
    const all = await api('/orders?limit=100', 'GET', undefined, as(other))
    t.same([...new Set(all.body.data.map(({ user_id }: { user_id: number }) => user_id))], [])
    const mine = await api('/orders?limit=100', 'GET', undefined, as(owner))
    t.same([...new Set(mine.body.data.map(({ user_id }: { user_id: number }) => user_id))], [owner.id])
  })

  await t.test('concurrent reads of one order are authorized for each caller', async (t) => {
    const { id } = await world.order(owner.id)
    const askers = Array.from({ length: 60 }, (_, n) => [owner, other, support][n % 3] as { headers: Record<string, string> })
    const answers = await Promise.all(askers.map((asker) => api(`/orders/${id}`, 'GET', undefined, as(asker))))
    t.same(
      answers.map(({ status }) => status),
      askers.map((asker) => (asker === other ? 404 : 200)),
    )
  })

  await t.test('an idempotency key belongs to one user', async (t) => {
    const key = { 'idempotency-key': 'my-order' }
    const first = await api('/orders', 'POST', { items: items(product.id, 2) }, { ...as(owner), ...key })
    const foreign = await api('/orders', 'POST', { items: items(product.id, 2) }, { ...as(other), ...key })
    t.equal(foreign.headers.get('idempotency-replayed'), null)
    t.match(foreign, { status: 201, body: { data: { user_id: other.id } } })
    t.not(foreign.body.data.id, first.body.data.id)
    const claimed = await api('/orders', 'POST', { user_id: owner.id, items: items(product.id, 2) }, { ...as(other), ...key })
    t.match(claimed, { status: 403, body: { code: 'auth.forbidden' } })
    const again = await api('/orders', 'POST', { user_id: owner.id, items: items(product.id, 2) }, { ...as(owner), ...key })
    t.equal(again.body.data.id, first.body.data.id)
    t.equal(again.headers.get('idempotency-replayed'), 'true')
  })

  await t.test('users cannot change their own role', async (t) => {
    for (const asker of [owner, support]) {
      const changed = await api(`/users/${asker.id}`, 'PATCH', { role: 'admin' }, as(asker))
      t.match(changed, { status: 403, body: { code: 'auth.forbidden' } })
    }
    for (const [n, asker] of [{}, as(owner), as(support)].entries()) {
      const person = { name: 'Eve', email: `eve-${n}@example.com`, password: 'correct horse battery', role: 'admin' }
      const made = await api('/users', 'POST', person, asker)
      t.not(made.body.data?.role, 'admin', `${made.status}`)
      t.notOk(made.status >= 500)
    }
    t.equal((await api(`/users/${owner.id}`)).body.data.role, 'user')
  })

  await t.test('authentication and authorization errors come before the body is read', async (t) => {
    const broken = { headers: { 'content-type': 'application/json' }, method: 'POST', body: '{"items":' }
    const large = { ...broken, body: Buffer.alloc(2 * 1024 * 1024, 0x20) }
    const strange = { ...broken, headers: { 'content-type': 'text/plain' } }
    for (const request of [broken, large, strange]) {
      const { status, headers } = await sendExactly(url, '/api/v1/orders', request)
      t.equal(status, 401)
      t.equal(headers['www-authenticate'], 'Bearer realm="orderhub"')
      const product = { ...request, headers: { ...request.headers, ...as(owner) } }
      t.equal((await sendExactly(url, '/api/v1/products', product)).status, 403)
    }
  })

  await t.test('WWW-Authenticate for bearer tokens (RFC 6750)', async (t) => {
    const challenge = async (authorization?: string) => {
      const answer = await call(`${url}/api/v1/orders`, 'GET', undefined, authorization === undefined ? {} : { authorization })
      return [answer.status, answer.body.code, answer.headers.get('www-authenticate')]
    }
    const missing = [401, 'auth.required', 'Bearer realm="orderhub"']
    const wrong = [401, 'auth.invalid_token', 'Bearer realm="orderhub", error="invalid_token"']
    for (const none of [undefined, 'Basic eDp5', 'Bearer', 'Bearer a b']) t.same(await challenge(none), missing, none ?? 'none')
    for (const token of ['Bearer a', 'bearer a.b.c', `Bearer ${'a'.repeat(4000)}`]) t.same(await challenge(token), wrong, token)
    const stale = await signedIn(keysDir, owner.id, 99)
    t.same(await challenge(stale.authorization), wrong, 'an old session version')
    t.same(await challenge((await signedIn(keysDir, 2_000_000)).authorization), wrong, 'an unknown user')
    t.equal((await api('/products', 'GET', undefined, stale)).status, 401, 'also on a public route')
  })

  await t.test('other spellings of a path do not bypass authorization', async (t) => {
    const { id } = await world.order(owner.id)
    for (const path of [
      `/api/orders/${id}`,
      `/api/v1/%6frders/${id}`,
      `/%61pi/v1/orders/${id}`,
      `/api/v1/orders/${id}?a=/health`,
    ])
      for (const [asker, status] of [
        [{}, 401],
        [as(other), 404],
      ] as const)
        t.equal((await sendExactly(url, path, { headers: asker })).status, status, path)
    for (const path of [
      `/api/v1/orders/${id}/`,
      `//api/v1/orders/${id}`,
      `/API/v1/orders/${id}`,
      `/health/../api/v1/orders/${id}`,
    ])
      t.equal((await sendExactly(url, path, { headers: as(other) })).status, 404, path)
    for (const method of ['PUT', 'TRACE', 'QUERY'])
      t.ok((await sendExactly(url, `/api/v1/orders/${id}`, { method, headers: headers.admin })).status >= 400, method)
    // The allowed methods are public: they are in the API document.
    const options = await sendExactly(url, `/api/v1/orders/${id}`, { method: 'OPTIONS' })
    t.match(options, { status: 204, text: '' })
  })

  await t.test('/internal is not reachable in one process', async (t) => {
    for (const path of ['/internal/user/getUser', '/internal/user/getSessions'])
      t.equal((await call(url + path, 'POST', { id: 1, ids: [1] }, await asService(keysDir, 'order', 'user'))).status, 404)
  })
})

t.test('with REQUIRE_ADMIN_MFA an administrator without a second factor can only enrol one', async (t) => {
  const { api, keysDir, url } = await runApp(t, { AUTH: 'on', REQUIRE_ADMIN_MFA: 'true' })
  const [admin, user] = [await signedIn(keysDir, 1), await signedIn(keysDir, 2)]
  for (const path of ['/users', '/users/1', '/orders', '/products', '/inventory'])
    t.match(await api(path, 'GET', undefined, admin), { status: 403, body: { code: 'auth.mfa_enrolment_required' } }, path)
  const person = { name: 'Eve', email: 'eve@example.com', role: 'admin' }
  t.match(await api('/users', 'POST', person, admin), { status: 403, body: { code: 'auth.mfa_enrolment_required' } })
  t.equal((await api('/auth/me', 'GET', undefined, admin)).status, 200)
  t.equal((await call(`${url}/health`, 'GET', undefined, admin)).status, 200)
  t.equal((await api('/orders', 'GET', undefined, user)).status, 200, 'only administrators need it')
})

t.test('with AUTH=off an order needs a user_id', async (t) => {
  const { api } = await runApp(t)
  t.match(await api('/orders', 'POST', { items: items(1) }), {
    status: 400,
    body: { code: 'request.invalid', errors: [{ field: '/body/user_id' }] },
  })
  t.equal((await api('/orders', 'POST', { user_id: 2, items: items(2) })).status, 201)
})
