import t from 'tap'
import { amounts } from '../../../testing/amounts.ts'
import { call } from '../../../testing/app.ts'
import { createBalancer, startLoad } from '../../../testing/balancer.ts'
import { eventually } from '../../../testing/eventually.ts'
import { startProviders } from '../../../testing/providers.ts'
import { type SystemService, startSystem } from '../../../testing/system.ts'

t.setTimeout(290_000)

const { requestsPerSecond: perSecond, restartsOfEach } = amounts
const names: readonly SystemService[] = ['user', 'product', 'order', 'notification', 'gateway']

t.test('every service is restarted under load without a failed request', { timeout: 280_000 }, async (t) => {
  const providers = await startProviders()
  t.teardown(() => providers.stop())
  const system = await startSystem({
    instances: Object.fromEntries(names.map((name) => [name, 2])),
    env: { ...providers.env, SHUTDOWN_DELAY_MS: '1500' },
  })
  t.teardown(() => system.stop())
  const product = await call(`${system.url}/api/v1/products`, 'POST', { sku: 'ROLL', name: 'Roll', price: 40 })
  const items = [{ product_id: product.body.data.id, quantity: 1 }]
  const balancer = await createBalancer(system.services.gateway.map(({ url }) => url))
  t.teardown(() => balancer.close())

  let orders = 0
  const load = startLoad(perSecond, async (n) => {
    const path = ['/users/1', '/products?limit=5', '/orders/2', '/notifications?limit=5', '/orders?limit=3'][n % 5]
    if (n % 20 !== 0) return balancer.send(`/api/v1${path}`)
    const answer = await balancer.send('/api/v1/orders', { method: 'POST', body: { user_id: 2, items } })
    if (answer.status === 201) orders += 1
    return answer
  })
  t.teardown(() => load.stop())
  const began = Date.now()
  for (const name of names)
    for (const service of system.services[name].slice(0, restartsOfEach)) {
      const at = Date.now() - began
      t.equal(await service.stop(), 0, `${service.name} exits with 0`)
      const stopped = Date.now() - began
      await service.restart()
      await eventually(() => balancer.complete())
      t.comment(`${service.url}: ${service.name} stops at ${at} ms, ended at ${stopped} ms, up again at ${Date.now() - began} ms`)
    }
  const { answers, failures, perSecond: sent } = await load.stop()

  t.comment(`${Date.now() - began} ms, ${Math.round(sent)} requests per second, statuses ${JSON.stringify(answers)}`)
  if (process.env.TEST_LOG)
    for (const { url, name, output } of system.processes) process.stderr.write(`=== ${name} ${url}\n${output()}`)
  t.same(failures, {}, 'no reset, no 5xx')
  t.same(Object.keys(answers), ['200', '201'])
  t.ok(sent > perSecond / 4, 'there was load')
  await eventually(() => providers.email.keys().length === orders && providers.sms.keys().length === orders, {
    timeoutMs: 40_000,
  })
  t.equal(providers.email.duplicates() + providers.sms.duplicates(), 0, 'each message once')
})
