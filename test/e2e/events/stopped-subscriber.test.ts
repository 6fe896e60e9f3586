import postgres from 'postgres'
import t from 'tap'
import { runApp } from '../../../testing/app.ts'
import { onEachBackend } from '../../../testing/backends.ts'
import { eventually } from '../../../testing/eventually.ts'

t.setTimeout(180_000)

const backlog = 3000
const orders = 30

await onEachBackend(t, 'a stopped subscriber', async (t, env) => {
  // Without the notification service nothing consumes its queue.
  const app = await runApp(t, { ...env, SERVICE: 'user,product,order,audit' })
  const sql = postgres(app.databaseUrl, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  const waiting = async () => {
    const [row] = await sql`
      select count(*)::int as all, count(*) filter (where attempts = 0)::int as untouched from orders.outbox where queue = 'notification'`
    return row as unknown as { all: number; untouched: number }
  }
  await sql`
    insert into orders.outbox (id, queue, type, aggregate_id, version, actor, traceparent, data, created_at, available_at)
    select gen_random_uuid(), 'notification', 'order.created', n::text, 1, '{"type": "anonymous", "id": null}', '', '{}', now() - interval '1 hour', now() - interval '1 hour'
      from generate_series(1, ${backlog}) as n`

  for (let n = 0; n < orders; n++) {
    const { status } = await app.api('/orders', 'POST', { user_id: 2, items: [{ product_id: 2, quantity: 1 }] })
    t.equal(status, 201)
  }
  await eventually(
    async () => (await app.api('/audit?action=order.created&limit=100')).body.count === orders,
    { timeoutMs: 60_000 }, // With one window for all, the backlog alone took a minute and a half.
  )
  const { all, untouched } = await waiting()
  t.equal(all, backlog + orders, 'its events wait')
  t.ok(untouched > orders, `${untouched} of its events were never dispatched: its window is full`)
  await eventually(async () => (await sql`select from orders.outbox where queue = 'audit'`).length === 0)
})
