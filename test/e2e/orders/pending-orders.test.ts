import postgres from 'postgres'
import t, { type Test } from 'tap'
import { orderContract } from '../../../src/modules/order/contract.ts'
import { createExpiryRepository } from '../../../src/modules/order/expiry-repository.ts'
import { serviceContext } from '../../../src/platform/context.ts'
import { createDatabase } from '../../../src/platform/db/database.ts'
import { newEvent } from '../../../src/platform/events/event.ts'
import { mailsOf, newPerson } from '../../../testing/accounts.ts'
import { runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { signedIn } from '../../../testing/people.ts'
import { isProblem } from '../../contract/target.ts'

t.setTimeout(120_000)

const start = async (t: Test, env: Record<string, string>) => {
  const run = await runApp(t, { AUTH: 'on', ...env })
  const { api } = run
  const sql = postgres(run.databaseUrl, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  const admin = await signedIn(run.keysDir, 1)
  const level = (id: number) => async () => (await api(`/inventory?product_ids=${id}`)).body.data[0].available
  const stocked = async (available: number): Promise<number> => {
    const { body } = await api('/products', 'POST', { sku: `P-${available}`, name: 'Lamp', price: 1 }, admin)
    await api(`/inventory/${body.data.id}`, 'PUT', { available }, admin)
    return body.data.id
  }
  const person = async () => {
    const { id } = await newPerson(run)
    return { id, headers: await signedIn(run.keysDir, id) }
  }
  return { ...run, sql, admin, level, stocked, person }
}

t.test('an order that stays pending expires: its stock is returned, and the mail states the reason', async (t) => {
  const { api, dataDir, level, stocked, person } = await start(t, { ORDER_PENDING_TTL: 'PT1S' })
  const product = await stocked(10)
  const { id, headers } = await person()
  const placed = await api('/orders', 'POST', { items: [{ product_id: product, quantity: 10 }] }, headers)
  t.equal(placed.status, 201)
  const order = `/orders/${placed.body.data.id}`
  await eventually(async () => (await api(order, 'GET', undefined, headers)).body.data.status === 'cancelled', {
    timeoutMs: 20_000,
  })
  t.equal(await level(product)(), 10)
  const mail = await eventually(
    () => mailsOf(dataDir, id).find(({ subject }) => /expired and was cancelled$/.test(subject)) ?? false,
  )
  t.match(mail.parts['text/plain'], /cancelled because it was pending for too long/)
})

t.test('several processes expire orders concurrently: the stock is returned once', async (t) => {
  const { api, sql, admin, databaseUrl, level, stocked } = await start(t, {})
  const product = await stocked(90)
  const body = { user_id: 2, items: [{ product_id: product, quantity: 1 }] }
  const orders = await Promise.all(Array.from({ length: 90 }, () => api('/orders', 'POST', body, admin)))
  t.same([...new Set(orders.map(({ status }) => status))], [201])
  await api(`/orders/${orders[0]?.body.data.id}`, 'PATCH', { status: 'processing' }, admin)
  await sql`update orders.orders set created_at = now() - interval '1 hour' where user_id = 2`
  const expired = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const db = createDatabase({ url: databaseUrl, max: 2, statementTimeoutMs: 10_000, applicationName: 'expiry' })
      const events = () =>
        Array.from({ length: 20 }, () =>
          newEvent(orderContract, 'order.cancelled', serviceContext('order', 1000), { reason: 'expired' }),
        )
      let sum = 0
      for (let n = 1; n > 0; sum += n) n = await createExpiryRepository(db).expire(60_000, events())
      await db.close()
      return sum
    }),
  )
  t.equal(await level(product)(), 89, 'all but the order in processing')
  const [cancelled] =
    await sql`select count(*)::int as n from orders.orders where status = 'cancelled' and user_id = 2 and version = 2`
  t.equal(cancelled?.n, 89)
  t.equal(
    expired.reduce((sum, n) => sum + n, 0),
    89,
  )
  const trail = await eventually(async () => {
    const { data } = (await api('/audit?action=order.cancelled&limit=100', 'GET', undefined, admin)).body
    return data.length >= 89 && data
  })
  t.equal(trail.length, 89, 'one event for each order')
  t.match(trail[0], { actor: { type: 'service', id: 'order' }, details: { reason: 'expired', from: 'pending', to: 'cancelled' } })
})

t.test('pending orders per user, and the quantity of one order, are limited', async (t) => {
  const { api, admin, level, stocked, person } = await start(t, { ORDER_PENDING_LIMIT: '5', ORDER_QUANTITY_LIMIT: '9' })
  const product = await stocked(1000)
  const { id, headers } = await person()
  const order = (as = headers, more: object = {}) =>
    api('/orders', 'POST', { items: [{ product_id: product, quantity: 1, ...more }] }, as)
  const answers = await Promise.all(Array.from({ length: 40 }, () => order()))
  const placed = answers.filter(({ status }) => status === 201)
  t.equal(placed.length, 5, 'also for concurrent orders')
  for (const answer of answers) if (answer.status !== 201) isProblem(t, answer, 409, 'order.too_many_pending', { maximum: 5 })
  t.equal(await level(product)(), 995)

  await api(`/orders/${placed[0]?.body.data.id}/cancel`, 'POST', undefined, headers)
  await api(`/orders/${placed[1]?.body.data.id}`, 'PATCH', { status: 'processing' }, admin)
  t.same([(await order()).status, (await order()).status, (await order()).status], [201, 201, 409])
  t.equal((await order((await person()).headers)).status, 201, 'each user has their own limit')
  const forThem = { user_id: id, items: [{ product_id: product, quantity: 10 }] }
  t.equal((await api('/orders', 'POST', forThem, admin)).status, 201, 'staff have no limit')
  const other = (await person()).headers
  isProblem(t, await order(other, { quantity: 10 }), 422, 'order.quantity_too_large', { maximum: 9 })
  t.equal((await order(other, { quantity: 9 })).status, 201)
})
