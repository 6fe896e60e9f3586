import { Redis } from 'ioredis'
import t from 'tap'
import { storingServices } from '../../../src/environment.ts'
import { eventually } from '../../../testing/eventually.ts'
import { startOrdering } from '../../../testing/ordering.ts'
import { startPostgres } from '../../../testing/postgres.ts'
import { hasRedis, startRedis } from '../../../testing/redis.ts'
import { startService } from '../../../testing/service.ts'
import { startProxy } from '../../../testing/tcp-proxy.ts'

t.setTimeout(300_000)

const skip = hasRedis() ? false : 'skipped: redis-server is not installed'

t.test('Redis is demoted and still responds: events go to the new primary', { skip }, async (t) => {
  const server = await startPostgres()
  t.teardown(() => server.stop())
  const databaseUrl = await server.createDatabase('demoted', storingServices)
  const [first, second] = [await startRedis(), await startRedis()]
  t.teardown(() => Promise.all([first.stop(), second.stop()]))
  const [one, two] = [new Redis(first.url), new Redis(second.url)]
  t.teardown(() => Promise.all([one.disconnect(), two.disconnect()]))
  await two.replicaof('127.0.0.1', first.port)
  await eventually(async () => (await two.info('replication')).includes('master_link_status:up'))
  const proxy = await startProxy(first.port)
  t.teardown(() => proxy.stop())
  const service = await startService('all', {
    DATABASE_URL: databaseUrl,
    REDIS_URL: `redis://127.0.0.1:${proxy.port}`,
    SEED: 'true',
    DATA_DIR: t.testdir(),
  })
  t.teardown(async () => {
    if (!t.passing()) t.comment(service.output().slice(-4000))
    await service.kill()
  })

  const ordering = startOrdering(service.url, databaseUrl)
  await ordering.delivered(performance.now())

  // As an operator does it: open connections stay connected to the old primary, which stays up.
  await two.replicaof('no', 'one')
  await one.replicaof('127.0.0.1', second.port)
  const demoted = performance.now()
  proxy.switchTo(second.port)
  const delivered = await ordering.delivered(demoted)
  t.comment(`an order placed after the demotion was delivered ${delivered} ms after it`)
  t.match(await one.info('replication'), /role:slave/, 'the old primary is up, as a replica')

  const { placed, statuses, lost, doubled } = await ordering.stop()
  t.comment(`${placed} orders; statuses ${JSON.stringify(statuses)}; lost ${lost}, duplicated ${doubled}`)
  t.equal(lost, 0, 'the trail has every event')
  t.equal(doubled, 0, 'once')
  t.same(Object.keys(statuses), ['201'], 'all orders are accepted')
  // The old primary refuses a write or unblocks a waiting worker; the log has the one that came first.
  t.match(service.output(), /(?:READONLY|UNBLOCKED).*queue: redis is down/, 'logged')
})
