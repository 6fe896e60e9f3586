import t from 'tap'
import { storingServices } from '../../../src/environment.ts'
import { endWithoutLoss, startOrdering } from '../../../testing/ordering.ts'
import { startPostgres } from '../../../testing/postgres.ts'
import { startService } from '../../../testing/service.ts'
import { startProxy } from '../../../testing/tcp-proxy.ts'

t.setTimeout(300_000)

t.test('connections to PostgreSQL die silently: requests and deliveries continue over new ones', async (t) => {
  const server = await startPostgres()
  t.teardown(() => server.stop())
  const databaseUrl = await server.createDatabase('silent', storingServices)
  const proxy = await startProxy(Number(new URL(databaseUrl).port))
  t.teardown(() => proxy.stop())
  const throughProxy = new URL(databaseUrl)
  throughProxy.port = String(proxy.port)
  const service = await startService('all', { DATABASE_URL: throughProxy.href, SEED: 'true', DATA_DIR: t.testdir() })
  t.teardown(async () => {
    if (!t.passing()) t.comment(service.output().slice(-4000))
    await service.kill()
  })

  const ordering = startOrdering(service.url, databaseUrl)
  await ordering.delivered(performance.now())
  for (const round of [1, 2]) {
    const connections = proxy.open()
    proxy.blackhole()
    const since = performance.now()
    const [served, delivered] = await Promise.all([ordering.served(since), ordering.delivered(since)])
    t.comment(
      `round ${round}: ${connections} dead connections; new order accepted after ${served} ms, delivered after ${delivered} ms`,
    )
  }
  await endWithoutLoss(t, ordering)
})
