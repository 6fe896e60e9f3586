import postgres from 'postgres'
import t from 'tap'
import { call, runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'

t.setTimeout(170_000)

t.test('a consumer that takes no jobs while some wait is reported, and requests are served', async (t) => {
  const { url, metricsUrl, databaseUrl, api } = await runApp(t)
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  const ready = () => call(`${url}/health/ready`)
  const stuckFor = async () => {
    const text = await (await fetch(metricsUrl)).text()
    return Number(/^queue_consumer_stuck_seconds\{queue="audit"\} (\d+)/m.exec(text)?.[1])
  }
  t.match((await ready()).body, { status: 'healthy' })
  t.equal(await stuckFor(), 0)

  // BullMQ's own pause: workers are not notified of waiting jobs, and no connection fails.
  await sql`insert into bullmq.meta (queue, field, value) values ('audit', 'paused', '1')`
  const order = await api('/orders', 'POST', { user_id: 3, items: [{ product_id: 2, quantity: 1 }] })
  t.equal(order.status, 201)
  await eventually(async () => (await ready()).body.status === 'degraded', { timeoutMs: 90_000, everyMs: 500 })
  const shown = await ready()
  t.equal(shown.status, 200, 'still ready for requests')
  t.ok(shown.body.stuck_consumers.audit >= 30)
  t.ok((await stuckFor()) >= 30)

  await sql`delete from bullmq.meta where queue = 'audit' and field = 'paused'`
  await eventually(async () => (await ready()).body.status === 'healthy', { timeoutMs: 30_000 })
  t.equal((await ready()).body.stuck_consumers, undefined)
  t.equal(await stuckFor(), 0)
})
