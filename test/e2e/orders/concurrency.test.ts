import postgres from 'postgres'
import t, { type Test } from 'tap'
import { amounts } from '../../../testing/amounts.ts'
import { runApp } from '../../../testing/app.ts'
import { manyClients, type Reply } from '../../../testing/clients.ts'

t.setTimeout(120_000)

const start = async (t: Test) => {
  const { url, databaseUrl } = await runApp(t)
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  const api = manyClients(t, url)
  let busy = 0
  t.teardown(() => t.comment(`${busy} responses with 503, retried`))
  /** Places an order; retries a 503 of a busy machine, as a client with an idempotency key may. */
  const place = async (body: unknown, key: string): Promise<Reply> => {
    const reply = await api('/orders', 'POST', body, key)
    if (reply.status !== 503) return reply
    busy++
    return place(body, key)
  }
  const available = async (product: number): Promise<number> =>
    (await api(`/inventory?product_ids=${product}`)).body.data[0].available
  return { api, sql, place, available }
}

const times = <T>(count: number, make: (n: number) => T): T[] => Array.from({ length: count }, (_, n) => make(n))
const statusesOf = (replies: readonly Reply[]) => [...new Set(replies.map(({ status }) => status))].sort()

const { buyersAtOnce, repeatedKeys } = amounts

t.test(`100 concurrent requests with one idempotency key create one order, for each of ${repeatedKeys} keys`, async (t) => {
  const { sql, place, available } = await start(t)
  const before = await available(2)
  const order = { user_id: 1, items: [{ product_id: 2, quantity: 3 }] }
  const ids = new Set<number>()
  for (const key of times(repeatedKeys, (n) => `key-${n}`)) {
    const replies = await Promise.all(times(100, () => place(order, key)))
    t.same(statusesOf(replies), [201], key)
    const made = new Set(replies.map(({ body }) => body.data.id))
    t.equal(made.size, 1, `${key}: one order`)
    for (const id of made) ids.add(id)
  }
  const [row] = await sql`select count(*)::int as n from orders.orders where idempotency_key is not null`
  t.same(
    [ids.size, row?.n, await available(2)],
    [repeatedKeys, repeatedKeys, before - repeatedKeys * 3],
    'each order took its stock once',
  )
})

t.test(`${buyersAtOnce} concurrent buyers buy exactly the 100 pieces in stock`, async (t) => {
  const { api, sql, place, available } = await start(t)
  /** The quantities of each buyer's order lines, all for the same product. */
  const rushes = {
    'two lines of one piece': () => [1, 1],
    'from one to four pieces': (n: number) => [[1], [1, 1], [2, 1], [1, 2, 1]][n % 4] ?? [],
  }
  for (const [name, wants] of Object.entries(rushes)) {
    const made = await api('/products', 'POST', { sku: `RUSH-${name.length}`, name, price: 10 })
    const product = made.body.data.id
    await api(`/inventory/${product}`, 'PUT', { available: 100 })
    const buy = (n: number) =>
      place({ user_id: 1 + (n % 3), items: wants(n).map((quantity) => ({ product_id: product, quantity })) }, `${product}-${n}`)
    const replies = await Promise.all(times(buyersAtOnce, buy))

    t.same(statusesOf(replies), [201, 409], name)
    const losers = replies.filter(({ status }) => status === 409)
    const fair = losers.every(
      ({ body: { code, lines } }) =>
        code === 'order.out_of_stock' && lines.length === 1 && lines[0].available < lines[0].requested,
    )
    t.ok(fair, `${name}: ${losers.length} are refused with the requested and the available quantity`)
    const [sold] = await sql`
      select sum(i.quantity)::int as pieces, count(*)::int as orders from orders.order_items i where i.product_id = ${product}`
    t.same(sold, { pieces: 100, orders: buyersAtOnce - losers.length }, `${name}: sold`)
    t.equal(await available(product), 0, `${name}: left`)
  }
})

t.test('concurrent orders and cancellations do not deadlock, and the stock is consistent', async (t) => {
  const { api, sql, place, available } = await start(t)
  // Few enough that buyers depend on the cancellations of others.
  await api('/inventory/1', 'PUT', { available: 8 })
  const before = await Promise.all([1, 2, 3].map(available))
  const line = (product_id: number) => ({ product_id, quantity: 1 })
  const lines = [1, 2, 3].map(line)
  const visit = async (n: number): Promise<Reply[]> => {
    const placed = await place({ user_id: 1, items: n % 2 ? lines : lines.toReversed() }, `visit-${n}`)
    if (placed.status !== 201 || n % 100 === 0) return [placed]
    const cancel = () => api(`/orders/${placed.body.data.id}/cancel`, 'POST')
    return [placed, ...(await Promise.all([cancel(), cancel()]))]
  }
  const comeAndGo = async (visitor: number): Promise<Reply[][]> => {
    const visits: Reply[][] = []
    for (const n of times(12, (n) => n)) visits.push(await visit(visitor * 12 + n))
    return visits
  }
  const visits = (await Promise.all(times(40, comeAndGo))).flat()
  t.same(statusesOf(visits.flat()), [200, 201, 409])
  const cancelled = visits.filter((replies) => replies.length === 3)
  t.ok(
    cancelled.every(([, ...two]) => two.every(({ status }) => status === 200)),
    'both cancellations succeed, with one effect',
  )

  const kept = visits.filter(([placed, cancel]) => placed?.status === 201 && !cancel).length
  t.same(
    await Promise.all([1, 2, 3].map(available)),
    before.map((pieces) => pieces - kept),
    `${kept} orders remain`,
  )
  const [database] = await sql`select deadlocks::int from pg_stat_database where datname = current_database()`
  t.equal(database?.deadlocks, 0, 'no deadlock in PostgreSQL')
})
