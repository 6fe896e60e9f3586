import postgres from 'postgres'
import { call } from '../../testing/app.ts'
import { eventually } from '../../testing/eventually.ts'
import type { TestProviders } from '../../testing/providers.ts'
import type { System } from '../../testing/system.ts'
import type { Attempted } from './buyers.ts'

export interface Audit {
  readonly violations: string[]
  readonly orders: number
  readonly refused: number
}

interface OrderRow {
  id: number
  key: string
  items: { product_id: number; quantity: number }[] | null
}

/** Counts one item per product, as an order does. */
const quantities = (items: readonly { product_id: number; quantity: number }[]): string => {
  const sums = new Map<number, number>()
  for (const { product_id, quantity } of items) sums.set(product_id, (sums.get(product_id) ?? 0) + quantity)
  return JSON.stringify([...sums].sort(([a], [b]) => a - b))
}

export interface AuditOptions {
  readonly system: System
  readonly providers: TestProviders
  readonly attempted: readonly Attempted[]
  readonly stock: ReadonlyMap<number, number>
  /** Limit for the remaining deliveries. */
  readonly tailMs: number
}

/** Compares the buyers' responses with the database, the API and the messages at the providers. */
export const audit = async ({ system, providers, attempted, stock, tailMs }: AuditOptions): Promise<Audit> => {
  const violations: string[] = []
  const must = (holds: boolean, violation: string) => {
    if (!holds) violations.push(violation)
  }
  const orders = postgres(system.databaseUrl('order'), { max: 2, onnotice: () => {} })
  const notifications = postgres(system.databaseUrl('notification'), { max: 2, onnotice: () => {} })

  const rows = await orders<OrderRow[]>`
    select o.id, o.idempotency_key as key,
           (select jsonb_agg(jsonb_build_object('product_id', i.product_id, 'quantity', i.quantity)) from orders.order_items i where i.order_id = o.id) as items
      from orders.orders o where o.idempotency_key is not null`
  const byKey = Map.groupBy(rows, ({ key }) => key)
  for (const { key, status, orderId, body } of attempted) {
    const [row, ...more] = byKey.get(key) ?? []
    must(status !== undefined, `key ${key}: no final response`)
    must(more.length === 0, `key ${key}: ${more.length + 1} orders`)
    must((status === 201) === (row !== undefined), `key ${key}: status ${status}, but ${row ? 'an' : 'no'} order`)
    if (row && status === 201) {
      must(row.id === orderId, `key ${key}: the response has order ${orderId}, the database ${row.id}`)
      must(quantities(row.items ?? []) === quantities(body.items), `order ${row.id}: items differ from the request`)
    }
  }
  const bare =
    await orders`select id from orders.orders o where not exists (select from orders.order_items where order_id = o.id)`
  must(bare.length === 0, `${bare.length} orders without items`)
  must(byKey.size === attempted.filter(({ status }) => status === 201).length, 'orders without a successful response')

  const accepted = attempted.filter(({ status }) => status === 201)
  for (const { orderId } of accepted.filter((_, n) => n % 10 === 0)) {
    const { status, body } = await call(`${system.url}/api/v1/orders/${orderId}`)
    must(status === 200 && body.data.id === orderId, `order ${orderId}: the API returns ${status}`)
  }

  for (const [productId, initial] of stock) {
    const [sum] = await orders<{ sold: number; available: number }[]>`
      select coalesce(sum(quantity), 0)::int as sold, (select available::int from orders.stock where product_id = ${productId}) as available
        from orders.order_items i join orders.orders o on o.id = i.order_id where product_id = ${productId} and o.idempotency_key is not null`
    const { sold = 0, available = 0 } = sum ?? {}
    must(initial - sold === available, `product ${productId}: ${initial} - ${sold} sold, but ${available} available`)
  }

  const waiting = async () => {
    const [outbox] = await orders<{ n: number }[]>`select count(*)::int as n from orders.outbox`
    const [sent] = await notifications<
      { n: number }[]
    >`select count(*)::int as n from notifications.notifications where status = 'sent'`
    return { outbox: outbox?.n ?? 0, missing: 2 * rows.length - (sent?.n ?? 0) }
  }
  await eventually(
    async () => {
      const { outbox, missing } = await waiting()
      if (outbox > 0 || missing !== 0) throw new Error(`${outbox} in the outbox, ${missing} messages missing`)
    },
    { timeoutMs: tailMs, everyMs: 250 },
  ).catch((error: Error) => violations.push(`after ${tailMs} ms: ${(error.cause as Error).message}`))

  const notes = await notifications<
    { event_id: string; order_id: number; channel: 'email' | 'sms'; status: string; reason: string }[]
  >`
    select event_id, order_id, channel, status, reason from notifications.notifications`
  for (const channel of ['email', 'sms'] as const) {
    const ofChannel = new Map(notes.filter((note) => note.channel === channel).map((note) => [note.order_id, note]))
    const arrived = new Set(providers[channel].keys())
    for (const { id } of rows) {
      const note = ofChannel.get(id)
      if (!note) must(false, `order ${id}: no ${channel}`)
      else {
        must(note.status === 'sent', `order ${id}: ${channel} is ${note.status} (${note.reason})`)
        must(arrived.delete(note.event_id), `order ${id}: ${channel} not received by the provider`)
      }
    }
    must(arrived.size === 0, `${arrived.size} ${channel} messages without an order`)
  }
  const letters = await notifications`select event_id, reason from notifications.dead_letters`
  for (const { event_id, reason } of letters) must(false, `dead letter ${event_id}: ${reason}`)

  await Promise.all([orders.end(), notifications.end()])
  return { violations, orders: rows.length, refused: attempted.length - accepted.length }
}
