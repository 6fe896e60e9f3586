import postgres from 'postgres'
import t from 'tap'
import { compile } from '../../../src/platform/schema.ts'
import { registry } from '../../../src/registry.ts'
import { runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'

t.setTimeout(60_000)

const schemas = Object.assign({}, ...Object.values(registry).map(({ contract }) => contract.events))

/** Events whose data is partly written by SQL: the compiler checks the members' names, not their values. */
const fromSql = [
  ...['order.created', 'order.status_changed', 'order.cancelled', 'inventory.set', 'inventory.removed'],
  ...['notification.retry_requested', 'notification.dead_letter_replayed'],
]

t.test('event data written by SQL matches the contracts exactly', async (t) => {
  const { api, databaseUrl } = await runApp(t, { ORDER_PENDING_TTL: 'PT4S' })
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())

  const product = (await api('/products', 'POST', { sku: 'P-1', name: 'Lamp', price: 900 })).body.data.id
  const price = 2_000_000_000
  await sql`update products.products set price = ${price} where id = ${product}`
  await api(`/inventory/${product}`, 'PUT', { available: 5 })
  const place = async () =>
    (await api('/orders', 'POST', { user_id: 3, items: [{ product_id: product, quantity: 2 }] })).body.data.id
  const [first, expiring] = await Promise.all([place(), place()])
  await api(`/orders/${first}`, 'PATCH', { status: 'processing' })
  await api(`/orders/${first}/cancel`, 'POST')
  await api(`/inventory/${product}`, 'DELETE')

  const [message] = await eventually(async () => {
    const rows =
      await sql`update notifications.notifications set status = 'failed', due_at = null where status = 'sent' returning id`
    return rows.length > 0 && rows
  })
  await api(`/notifications/${message?.id}/retry`, 'POST')
  await sql`insert into notifications.dead_letters (event_id, type, event, reason, attempts)
            select gen_random_uuid(), 'order.created', '{"type": "order.created"}', 'test', 1`
  await api('/notifications/dead-letters/replay', 'POST', {})

  const events = await eventually(async () => {
    const rows = await sql`select action, resource_id, details from audits.entries where action = any (${fromSql})`
    const expired = rows.some(({ details }) => details.reason === 'expired')
    return expired && fromSql.every((type) => rows.some(({ action }) => action === type)) && rows
  })
  for (const { action, details } of events) {
    const fits = compile({ ...schemas[action], additionalProperties: false })
    t.ok(fits(details), `${action} ${JSON.stringify(details)} ${JSON.stringify(fits.errors)}`)
  }
  const ofType = (type: string) => events.filter(({ action }) => action === type).map(({ details }) => details)
  const common = { user_id: 3, total: 2 * price, currency: 'TWD' }
  t.same(
    ofType('order.created').sort((a, b) => a.order_id - b.order_id),
    [first, expiring]
      .sort((a, b) => a - b)
      .map((order_id) => ({ order_id, ...common, items: [{ product_id: product, product: 'Lamp', quantity: 2, price }] })),
  )
  t.same(ofType('order.status_changed'), [{ order_id: first, ...common, from: 'pending', to: 'processing' }])
  const cancelled = new Map(ofType('order.cancelled').map((data) => [data.order_id, data]))
  t.same(cancelled.get(first), { order_id: first, ...common, from: 'processing', to: 'cancelled' })
  t.same(cancelled.get(expiring), { order_id: expiring, ...common, from: 'pending', to: 'cancelled', reason: 'expired' })
  t.same(ofType('inventory.set'), [{ product_id: product, available: 5 }])
  t.same(ofType('inventory.removed'), [{ product_id: product, available: 3 }])
})
