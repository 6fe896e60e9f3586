import postgres from 'postgres'
import t from 'tap'
import { storingServices } from '../../../src/environment.ts'
import { amounts } from '../../../testing/amounts.ts'
import { manyClients } from '../../../testing/clients.ts'
import { eventually } from '../../../testing/eventually.ts'
import { freePort } from '../../../testing/port.ts'
import { startPostgres } from '../../../testing/postgres.ts'
import { startService } from '../../../testing/service.ts'

t.setTimeout(120_000)

const { databaseKills: kills } = amounts
const buyers = 16
const product = 2

t.test('backends are killed under load: no order is partial, and requests are served', async (t) => {
  const server = await startPostgres()
  t.teardown(() => server.stop())
  const databaseUrl = await server.createDatabase('orderhub', storingServices)
  // Nothing listens on this port: no event is delivered, so the outbox keeps a row for each order.
  const nowhere = `redis://127.0.0.1:${await freePort()}`
  const service = await startService('all', { DATABASE_URL: databaseUrl, REDIS_URL: nowhere, SEED: 'true', LOG_LEVEL: 'error' })
  t.teardown(() => service.kill())
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {}, connection: { application_name: 'killer' } })
  t.teardown(() => sql.end())
  const api = manyClients(t, service.url, buyers)
  await api(`/inventory/${product}`, 'PUT', { available: 1_000_000 })

  const statuses = new Map<number, number>()
  /** The order id in the response for each idempotency key. */
  const acknowledged = new Map<string, number>()
  let answers = 0
  let slowest = 0
  let stopping = false
  const order = { user_id: 1, items: [{ product_id: product, quantity: 1 }] }
  /** Places orders in sequence, and retries each with its idempotency key until it succeeds. */
  const buyer = async (name: number) => {
    for (let n = 0; !stopping; n++) {
      const key = `buyer-${name}-${n}`
      while (!acknowledged.has(key) && !stopping) {
        const asked = performance.now()
        const { status, body } = await api('/orders', 'POST', order, key)
        slowest = Math.max(slowest, Math.round(performance.now() - asked))
        answers++
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
        if (status === 201) acknowledged.set(key, body.data.id)
        else if (status !== 503) t.fail(`${status}: ${JSON.stringify(body)}`)
      }
    }
  }
  const load = Promise.all(Array.from({ length: buyers }, (_, name) => buyer(name)))
  t.teardown(() => {
    stopping = true
  })

  let killed = 0
  for (let round = 0; round < kills; round++) {
    // Alternates between all backends and one of them.
    const rows = await sql`
      select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = 'orderhub' and pid <> pg_backend_pid()
       order by random() limit ${round % 2 === 0 ? null : 1}`
    killed += rows.length
    const seen = answers
    await eventually(() => answers >= seen + 20, { timeoutMs: 20_000, everyMs: 5 })
  }
  const before = acknowledged.size
  const lastKill = performance.now()
  await eventually(() => acknowledged.size >= before + buyers, { timeoutMs: 5000, everyMs: 5 })
  const back = Math.round(performance.now() - lastKill)
  stopping = true
  await load
  t.comment(
    `${killed} backends killed; statuses ${JSON.stringify(Object.fromEntries(statuses))}; slowest ${slowest} ms; recovered in ${back} ms`,
  )

  t.ok(killed >= kills, 'every round found a backend')
  t.same(
    [...statuses.keys()].filter((status) => status !== 201 && status !== 503),
    [],
    'clients get only 201 or 503',
  )
  t.ok(slowest < 5000, 'no request waits for a lost connection')
  const [whole] = await sql`
    select count(*)::int as orders, count(e.aggregate_id)::int as events, count(i.order_id)::int as items
      from orders.orders o
      left join orders.outbox e on e.type = 'order.created' and e.aggregate_id = o.id::text and e.version = 1 and e.queue = 'audit'
      left join orders.order_items i on i.order_id = o.id
     where o.idempotency_key is not null`
  const [outbox] = await sql`select count(*)::int as events from orders.outbox where type = 'order.created' and queue = 'audit'`
  t.same(whole, { orders: whole?.orders, events: whole?.orders, items: whole?.orders }, 'each order has an item and an event')
  t.equal(outbox?.events, whole?.orders, 'no event without an order')
  const [stock] = await sql`select available::int from orders.stock where product_id = ${product}`
  t.equal(stock?.available, 1_000_000 - whole?.orders, 'each order took its stock')
  const kept = await sql`select idempotency_key as key, id from orders.orders where idempotency_key is not null`
  const stored = new Map(kept.map(({ key, id }) => [key, id]))
  t.equal(stored.size, kept.length, 'one order per key')
  t.same(
    [...acknowledged].filter(([key, id]) => stored.get(key) !== id),
    [],
    'acknowledged orders are stored',
  )

  t.ok(service.alive(), 'the process is alive')
  t.notMatch(service.output(), /uncaught|unhandled|Cannot read propert|"internal"/i)
  t.equal((await api('/orders')).status, 200)
})
