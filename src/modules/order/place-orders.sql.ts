import { sql } from 'drizzle-orm'
import { coalesce } from '../../platform/db/batch-loader.ts'
import type { Database } from '../../platform/db/database.ts'
import type { EventOf } from '../../platform/events/event.ts'
import { jsonbObject, type SqlDataOf } from '../../platform/events/outbox-repository.ts'
import { subscribersOf } from '../../platform/events/subscription-repository.ts'
import type { OrderItem, orderContract } from './contract.ts'
import { orderItems, orders, outbox, stock } from './tables.ts'

type OrderEvent = EventOf<typeof orderContract, 'order.created', 'order_id' | 'user_id' | 'total' | 'currency' | 'items'>

export interface NewOrder {
  readonly user_id: number
  readonly currency: string
  /** One per product. */
  readonly items: readonly OrderItem[]
  readonly key: string | null
  /** SHA-256 of the request in hexadecimal. */
  readonly fingerprint: string
  readonly event: OrderEvent
  /** How many pending orders this user may have; null if not limited. */
  readonly most: number | null
}

export interface OutOfStockProduct {
  readonly product_id: number
  readonly available: number
}

/** The result for one order of the array. */
export type Placement =
  | { readonly outcome: 'placed'; readonly id: number; readonly total: number; readonly created_at: string }
  | { readonly outcome: 'out_of_stock'; readonly products: readonly OutOfStockProduct[] }
  /** This user has reached the limit of pending orders. */
  | { readonly outcome: 'full' }
  /** This user has an order with this key, or lost a race against a concurrent one: look it up, and place it once more. */
  | { readonly outcome: 'key_taken' }

/** Over the CTEs `placed` p, `input` i and `line`. */
const orderData: SqlDataOf<OrderEvent> = {
  order_id: sql<number>`p.id`,
  user_id: sql<number>`i.user_id`,
  total: sql<number>`p.total`,
  currency: sql<string>`i.currency`,
  items: sql<OrderItem[]>`(
    select jsonb_agg(jsonb_build_object('product_id', l.product_id, 'product', l.product, 'quantity', l.quantity, 'price', l.price) order by l.line)
      from line l where l.n = i.n)`,
}

interface Row {
  id: number | null
  total: number
  created_at: string
  out_of_stock: OutOfStockProduct[] | null
  full: boolean
}

/**
 * Places orders in one statement. For each order it inserts the order with its items and its event and takes the stock, or does
 * nothing. Returns one placement per order, in the same order. With more than one order, `out_of_stock` or `full` means that all
 * together want more than there is: place that order alone to find out.
 */
export const placeOrders =
  (db: Database) =>
  async (batch: readonly NewOrder[]): Promise<Placement[]> => {
    const input = batch.map(({ user_id, currency, key, fingerprint, event, items, most }, n) => ({
      n,
      user_id,
      currency,
      key,
      fingerprint,
      event_id: event.id,
      event_type: event.type,
      actor: event.actor,
      traceparent: event.traceparent,
      policy_version: event.policy_version,
      most,
      lines: items.map((item, line) => ({ line: line + 1, ...item })),
    }))
    const rows = await db.write<Row>(
      sql`
      with input as materialized (
        select o.*, nextval(pg_get_serial_sequence('orders.orders', 'id')) as id
          from jsonb_to_recordset(${JSON.stringify(input)}::jsonb)
            as o(n int, user_id int, currency text, key text, fingerprint text, event_id uuid, event_type text, actor jsonb, traceparent text, policy_version text, most int, lines jsonb)
         order by o.n
      ), line as materialized (
        select i.n, l.product_id, l.product, l.quantity, l.price, l.line
          from input i, jsonb_to_recordset(i.lines) as l(product_id int, product text, quantity int, price bigint, line int)
      ), locked as materialized ( -- in product order, so that two statements cannot wait for each other; FOR UPDATE sees the newest number
        select s.product_id, s.available from ${stock} s
         where s.product_id = any (array(select distinct product_id from line)) and s.state = 'tracked' order by s.product_id for update
      ), out_of_stock as materialized (
        select k.product_id, k.available from locked k join line l using (product_id)
         group by k.product_id, k.available having k.available < sum(l.quantity)
      ), counted as materialized ( -- by the key, as they are inserted: places that are waited for come in one order as well
        select i.n, i.user_id, i.most, row_number() over (partition by i.user_id order by i.key, i.n) as rank from input i where i.most is not null
      ), free as materialized ( -- any of the free places, so that two at once seldom want the same one
        select u.user_id, s.slot, row_number() over (partition by u.user_id order by s.slot) as rank
          from (select user_id, max(most) as most, count(*) as orders from counted group by user_id) u
          cross join lateral (
            select p.slot from generate_series(1, u.most) as p(slot)
             where not exists (select from ${orders} o where o.user_id = u.user_id and o.open_slot = p.slot and o.status = 'pending')
             order by random() limit u.orders
          ) s
      ), place as materialized (
        select i.n, f.slot, i.most is not null and f.slot is null as is_full
          from input i left join counted c using (n) left join free f on f.user_id = c.user_id and f.rank = c.rank
      ), placed as (
        insert into ${orders} (id, user_id, total, currency, idempotency_key, fingerprint, open_slot)
        select i.id, i.user_id, (select sum(l.quantity * l.price) from line l where l.n = i.n), i.currency, i.key, i.fingerprint, place.slot
          from input i join place using (n)
         where not place.is_full and not exists (select from line l join out_of_stock using (product_id) where l.n = i.n)
         order by i.user_id, i.key -- the same order in every statement: waiting for a key in flight cannot deadlock
        on conflict do nothing
        returning id, total, created_at, version
      ), item as (
        insert into ${orderItems} (order_id, line, product_id, product, quantity, price, taken)
        select p.id, l.line, l.product_id, l.product, l.quantity, l.price, case when k.product_id is null then 0 else l.quantity end
          from placed p join input i using (id) join line l using (n) left join locked k using (product_id)
      ), taken as ( -- from the locked number: s is older where stock came back meanwhile, and would break the check
        update ${stock} as s set available = k.available - d.quantity
          from (select l.product_id, sum(l.quantity) as quantity from placed join input using (id) join line l using (n) group by 1) d
          join locked k using (product_id)
         where s.product_id = d.product_id and s.product_id = any (array(select product_id from line)) -- the array keeps the index
      ), event as (
        insert into ${outbox} (id, queue, type, aggregate_id, version, actor, traceparent, policy_version, data)
        select i.event_id, coalesce(s.queue, ''), i.event_type, p.id::text, p.version, i.actor, i.traceparent, i.policy_version,
               ${jsonbObject(orderData)}
          from placed p join input i using (id) left join lateral (${subscribersOf(outbox, sql`i.event_type`)}) as s on true
      )
      select p.id, p.total, p.created_at,
             (select jsonb_agg(jsonb_build_object('product_id', c.product_id, 'available', c.available))
                from line l join out_of_stock c using (product_id) where l.n = i.n) as out_of_stock, place.is_full as full
        from input i join place using (n) left join placed p using (id) order by i.n`,
      ({ id }) => id !== null,
    )
    return rows.map(({ id, total, created_at, out_of_stock, full }): Placement => {
      if (id !== null) return { outcome: 'placed', id, total, created_at }
      if (full) return { outcome: 'full' }
      return out_of_stock ? { outcome: 'out_of_stock', products: out_of_stock } : { outcome: 'key_taken' }
    })
  }

/** Places single orders; concurrent ones share a statement and its commit. */
export const placeTogether = (place: ReturnType<typeof placeOrders>): ((order: NewOrder) => Promise<Placement>) =>
  coalesce(
    async (batch) => {
      const placements = await place(batch)
      if (batch.length === 1) return placements
      const alone = async (n: number) => (await place(batch.slice(n, n + 1)))[0] as Placement
      return Promise.all(
        placements.map((placement, n) =>
          placement.outcome === 'out_of_stock' || placement.outcome === 'full' ? alone(n) : placement,
        ),
      )
    },
    { max: 32, lanes: 2 },
  )
