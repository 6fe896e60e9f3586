import t from 'tap'
import { call } from '../../../testing/app.ts'
import { startWorld } from '../../../testing/authorization-world.ts'
import { eventually } from '../../../testing/eventually.ts'
import { signedIn } from '../../../testing/people.ts'

t.setTimeout(180_000)

t.test('reads continue for a while without the user service', async (t) => {
  const { system, world } = await startWorld(t, { AUTH_STALE_SECONDS: '600' }, 60_000)
  const { headers, owner, other, order } = world
  const { id } = await order(owner.id)
  const [user] = system.services.user
  const [gateway] = system.services.gateway
  const api = (path: string, asker: Record<string, string>, method = 'GET', body?: unknown) =>
    call(`${system.url}/api/v1${path}`, method, body, asker)
  const direct = `${system.services.order[0]?.url}/api/v1/orders/${id}`
  const lines = (text: string) => (gateway?.output() ?? '').split(text).length - 1
  const began = () => lines('reads continue with cached sessions')
  const ended = () => lines('the user service responds again')

  const seen = ['owner', 'other', 'support', 'auditor', 'admin'] as const
  for (const name of seen) t.equal((await api('/products', headers[name])).status, 200, name)
  t.equal((await call(direct, 'GET', undefined, owner.headers)).status, 200)
  await eventually(async () => (await api('/audit/checkpoint', headers.auditor)).status === 200)
  await user?.kill()

  await t.test('users with a cached session can still read', async (t) => {
    const readable = [
      ['owner', '/orders'],
      ['owner', `/orders/${id}`],
      ['owner', '/notifications'],
      ['owner', '/products'],
      ['owner', '/inventory'],
      ['support', `/orders?user_id=${owner.id}`],
      ['support', '/notifications'],
      ['support', '/notifications/dead-letters'],
      ['admin', '/orders'],
      ['admin', '/audit'],
      ['auditor', '/audit'],
      ['auditor', '/audit/checkpoint'],
    ] as const
    for (const [name, path] of readable) {
      const { status, body } = await api(path, headers[name])
      t.equal(status, 200, `${name} ${path}: ${body.code}`)
    }
    t.equal((await api('/orders', headers.owner, 'HEAD')).status, 200)
    const { body } = await api(`/orders/${id}`, headers.owner)
    t.match(body.data, { id, user_id: owner.id, user: null })
    t.equal((await call(direct, 'GET', undefined, owner.headers)).status, 200, 'also directly at a service')
  })

  await t.test('roles still apply', async (t) => {
    t.equal((await api('/audit', headers.owner)).status, 403)
    t.equal((await api(`/orders/${id}`, headers.other)).status, 404)
  })

  await t.test('personal data, changes and users without a cached session are refused', async (t) => {
    const stranger = await signedIn(system.keysDir, 2)
    const refused = [
      ['/auth/me', headers.owner, 'GET'],
      [`/users/${owner.id}`, headers.owner, 'GET'],
      [`/users/${owner.id}/export`, headers.owner, 'GET'],
      [`/%75sers/${owner.id}`, headers.owner, 'GET'],
      ['/users', headers.admin, 'GET'],
      ['/orders', headers.owner, 'POST'],
      [`/orders/${id}/cancel`, headers.owner, 'POST'],
      ['/inventory/1', headers.admin, 'PUT'],
      ['/orders', stranger, 'GET'],
      ['/orders', await signedIn(system.keysDir, owner.id, 2), 'GET'],
    ] as const
    for (const [path, asker, method] of refused) {
      const { status, body } = await api(path, asker, method, method === 'GET' ? undefined : {})
      t.match({ status, code: body.code }, { status: 503, code: 'user.unavailable' }, `${method} ${path}`)
    }
  })

  await t.test('stale reads are counted; a log line marks their start and their end', async (t) => {
    await eventually(async () => began() === 1)
    t.equal(ended(), 0)
    const port = /"metrics_port":(\d+)/.exec(gateway?.output() ?? '')?.[1]
    const { body } = await call(`http://127.0.0.1:${port}/metrics`)
    t.ok(Number(/^auth_stale_sessions_total (\d+)$/m.exec(body)?.[1]) >= 15, 'each read is counted')
    await user?.restart()
    await eventually(async () => (await api('/auth/me', headers.owner)).status === 200)
    // The log line comes through a pipe, the response through a socket.
    await eventually(async () => ended() === 1)
    t.equal(began(), 1)
  })

  await t.test('a revocation that was seen still applies', async (t) => {
    t.equal((await api('/orders', headers.other)).status, 200)
    t.equal((await api(`/users/${other.id}`, headers.admin, 'PATCH', { role: 'support' })).status, 200)
    t.equal((await api('/orders', headers.other)).status, 401)
    await user?.kill()
    t.match(await api('/orders', headers.other), { status: 503, body: { code: 'user.unavailable' } })
    t.equal((await api('/orders', headers.owner)).status, 200)
  })
})
