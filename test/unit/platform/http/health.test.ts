import Fastify from 'fastify'
import t from 'tap'
import { healthRoutes } from '../../../../src/platform/http/health.ts'
import { eventually } from '../../../../testing/eventually.ts'

t.test('concurrent readiness probes share one check of the dependencies', async (t) => {
  let asked = 0
  let fails = false
  let hold: Promise<void> | undefined
  const app = Fastify()
  const check = async () => {
    asked++
    await hold
    if (fails) throw new Error('away')
  }
  const state = { stopping: false }
  await app.register(healthRoutes, {
    service: 'order-service',
    starting: () => false,
    stopping: () => state.stopping,
    checks: { database: check },
  })
  const ask = (method: 'GET' | 'HEAD' = 'GET') => app.inject({ method, url: '/health/ready' })
  const crowd = async () =>
    new Set(
      (await Promise.all(Array.from({ length: 400 }, (_, n) => ask(n % 2 ? 'HEAD' : 'GET')))).map(({ statusCode }) => statusCode),
    )

  const held = Promise.withResolvers<void>()
  hold = held.promise
  const first = crowd()
  const second = crowd()
  held.resolve()
  t.same([await first, await second], [new Set([200]), new Set([200])])
  t.same(await crowd(), new Set([200]), 'cached after the first response')
  t.ok(asked < 20, `${asked} checks for 1200 requests`)

  fails = true
  await eventually(async () => (await ask()).statusCode === 503)
  t.match((await ask()).json(), { status: 'unhealthy', dependencies: { database: 'down' } })
  fails = false
  await eventually(async () => (await ask()).statusCode === 200)

  hold = new Promise(() => {})
  await eventually(async () => (await ask()).statusCode === 503, { timeoutMs: 10_000 })
  hold = undefined
  await eventually(async () => (await ask()).statusCode === 200, { timeoutMs: 10_000 })
  state.stopping = true
  t.match(await ask(), { statusCode: 503 }, 'a shutdown is visible at once')
  await app.close()
})
