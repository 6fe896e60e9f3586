import t from 'tap'
import { call } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { runGateway, startFakeService } from '../../../testing/gateway.ts'
import { startDns } from '../../../testing/upstream.ts'

t.test('/health shows the status of each upstream, without addresses', async (t) => {
  const [user, one, two] = await Promise.all([startFakeService(t), startFakeService(t), startFakeService(t)])
  const { url } = await runGateway(t, { USER_SERVICE_URL: user.url, ORDER_SERVICE_URL: `${one.url},${two.url}` })
  const health = () => call(`${url}/health`)
  const first = await health()
  t.match(first, { status: 200, body: { status: 'healthy', service: 'api-gateway' } })
  t.strictSame(first.body.upstreams, {
    'user-service': { status: 'healthy', targets: 1, healthy: 1 },
    'product-service': { status: 'unhealthy', targets: 1, healthy: 0 },
    'order-service': { status: 'healthy', targets: 2, healthy: 2 },
    'notification-service': { status: 'unhealthy', targets: 1, healthy: 0 },
    'audit-service': { status: 'unhealthy', targets: 1, healthy: 0 },
  })
  t.notMatch(JSON.stringify(first.body), '127.0.0.1')

  await user.stop()
  two.ready = false
  await eventually(async () => {
    const { body } = await health()
    return body.upstreams['user-service'].status === 'unhealthy' && body.upstreams['order-service'].healthy === 1
  })
  const second = await health()
  t.match(second, { status: 200, body: { status: 'healthy' } })
  t.strictSame(second.body.upstreams['order-service'], { status: 'healthy', targets: 2, healthy: 1 })

  await startFakeService(t, undefined, { port: user.port })
  await eventually(async () => (await health()).body.upstreams['user-service'].status === 'healthy')
  t.equal((await call(`${url}/health/ready`)).status, 200, 'the gateway is ready whatever the status of its upstreams')
})

t.test('an upstream without targets is logged once at the start, and its requests get a 503', async (t) => {
  const dns = await startDns(t)
  const { api, url, log } = await runGateway(t, { USER_SERVICE_URL: dns.url })
  const told = () => log.filter(({ level, msg }) => level === 40 && msg === 'upstream has no targets')
  await eventually(() => told().length > 0)
  t.match(told(), [{ upstream: 'user' }])
  t.equal(told().length, 1)
  t.match(await api('/users'), { status: 503, body: { code: 'user.unavailable' } })
  t.match((await call(`${url}/health`)).body.upstreams['user-service'], { status: 'unhealthy', targets: 0, healthy: 0 })
})
