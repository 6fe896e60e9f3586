import t from 'tap'
import { policy } from '../../../src/policy.ts'
import { amounts } from '../../../testing/amounts.ts'
import { call } from '../../../testing/app.ts'
import { runMatrix } from '../../../testing/authorization-matrix.ts'
import { startWorld } from '../../../testing/authorization-world.ts'
import { eventually } from '../../../testing/eventually.ts'

t.setTimeout(180_000)

t.test('separate services behind the gateway', async (t) => {
  const { system, world } = await startWorld(t, { AUTH_STALE_SECONDS: '0' }, 30_000)
  const { headers, owner, other, order } = world
  const { services, url } = system

  await t.test('every route for every caller', async (t) => {
    await runMatrix(t, world, Object.keys(policy.routes), amounts.callersOfSplit)
  })

  await t.test('the gateway refuses by itself: a forbidden request reaches no service', async (t) => {
    const seen = () => services.order[0]?.output().split('"path":"/api/v1/orders/77').length
    const before = seen()
    const refused = await Promise.all([
      call(`${url}/api/v1/orders/77`),
      call(`${url}/api/v1/orders/77`, 'GET', undefined, { authorization: 'Bearer a.b.c' }),
      call(`${url}/api/v1/orders/77`, 'PATCH', { status: 'processing' }, headers.owner),
    ])
    t.same(
      refused.map(({ status }) => status),
      [401, 401, 403],
    )
    t.equal((await call(`${url}/api/v1/orders/779`, 'GET', undefined, headers.owner)).status, 404)
    await eventually(() => seen() === (before ?? 0) + 1)
    t.equal((await call(`${url}/api/v1/orders/779/other`, 'GET', undefined, headers.owner)).body.code, 'route.not_found')
  })

  await t.test('a service also authorizes requests that bypass the gateway', async (t) => {
    const { id } = await order(owner.id)
    const direct = `${services.order[0]?.url}/api/v1/orders/${id}`
    for (const [asker, status] of [
      [{}, 401],
      [owner.headers, 200],
      [other.headers, 404],
    ] as const)
      t.equal((await call(direct, 'GET', undefined, asker)).status, status)
    t.equal((await call(direct, 'PATCH', { status: 'processing' }, owner.headers)).status, 403)
  })

  await t.test('without the user service no token is accepted; catalogue and health respond', async (t) => {
    await services.user[0]?.kill()
    for (const asker of [headers.owner, headers.admin]) {
      t.match(await call(`${url}/api/v1/products`, 'GET', undefined, asker), {
        status: 503,
        body: { code: 'user.unavailable' },
      })
      t.match(await call(`${url}/api/v1/orders`, 'GET', undefined, asker), { status: 503, body: { code: 'user.unavailable' } })
    }
    t.equal((await call(`${url}/api/v1/products`)).status, 200)
    t.equal((await call(`${url}/health/live`, 'GET', undefined, headers.owner)).status, 200)
    await services.user[0]?.restart()
    await eventually(async () => (await call(`${url}/api/v1/orders`, 'GET', undefined, headers.owner)).status === 200)
  })
})
