import t, { type Test } from 'tap'
import { migrationTargets, runMigrations } from '../../../src/app/migrations.ts'
import { readConfig } from '../../../src/config.ts'
import { call } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { endWithoutLoss, startOrdering } from '../../../testing/ordering.ts'
import { startService } from '../../../testing/service.ts'
import { startReplicatedPostgres } from '../../../testing/standby.ts'
import { startProxy } from '../../../testing/tcp-proxy.ts'

t.setTimeout(540_000)

const skip = process.platform === 'linux' ? false : 'skipped: it needs /proc to find the standby'

const changed = (url: string, fields: Partial<Record<'host' | 'port', string>>) => Object.assign(new URL(url), fields).href

/** The primary is restarted as a standby, and the old standby is promoted. The process connects to `address`. */
const failOver = async (t: Test, form: 'one address' | 'two hosts') => {
  const cluster = await startReplicatedPostgres()
  t.teardown(() => cluster.stop())
  await runMigrations(migrationTargets(readConfig({ DATABASE_URL: cluster.url })))
  const [first, second] = [cluster.url, cluster.standbyUrl].map((url) => Number(new URL(url).port)) as [number, number]
  const proxy = await startProxy(first)
  t.teardown(() => proxy.stop())
  const address =
    form === 'one address'
      ? changed(cluster.url, { port: String(proxy.port) })
      : cluster.url.replace(`127.0.0.1:${first}`, `127.0.0.1:${first},127.0.0.1:${second}`)
  const service = await startService('all', { DATABASE_URL: address, SEED: 'true', DATA_DIR: t.testdir() })
  t.teardown(async () => {
    if (!t.passing()) t.comment(service.output().slice(-4000))
    await service.kill()
  })
  const ready = async () => (await call(`${service.url}/health/ready`)).status
  t.equal(await ready(), 200)

  const ordering = startOrdering(service.url, cluster.standbyUrl)
  await ordering.delivered(performance.now())
  t.comment(`${form}: first orders delivered`)
  const down = performance.now()
  await cluster.demote()
  t.comment(`${form}: the old primary is up as a standby`)
  // The old primary accepts connections at the same address, but no writes.
  await eventually(async () => (await ready()) === 503, { timeoutMs: 60_000 })
  t.pass('not ready while the database is read-only')
  await cluster.promote()
  const promoted = performance.now()
  proxy.switchTo(second)
  const [served, delivered] = await Promise.all([ordering.served(promoted), ordering.delivered(promoted)])
  t.comment(
    `${form}: no writes for ${Math.round(promoted - down)} ms; then an order was accepted after ${served} ms and delivered after ${delivered} ms`,
  )
  await eventually(async () => (await ready()) === 200, { timeoutMs: 30_000 })

  await endWithoutLoss(t, ordering)
}

for (const form of ['one address', 'two hosts'] as const)
  t.test(`a standby is promoted, and the old primary becomes a standby: ${form}`, { skip, timeout: 250_000 }, (t) =>
    failOver(t, form),
  )
