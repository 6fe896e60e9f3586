import { sql } from 'drizzle-orm'
import { coalesce } from '../../platform/db/batch-loader.ts'
import { arrayLiteral, type Database } from '../../platform/db/database.ts'
import { allOf, during, equals, pageClauses } from '../../platform/db/page.sql.ts'
import { appendEvent } from '../../platform/events/outbox-repository.ts'
import type { PageRequest } from '../../platform/page.ts'
import type { Order, OrderStatus } from './contract.ts'
import { giveBack, type StepEvent, stepData } from './give-back.sql.ts'
import { placeOrders, placeTogether } from './place-orders.sql.ts'
import type { StockLevel } from './stock-repository.ts'
import { orderItems, orders, outbox, stock } from './tables.ts'

/** An order as this module stores it; another module has the user. */
export type StoredOrder = Omit<Order, 'user'>

export interface OrderFilter {
  readonly user_id?: number
  readonly status?: OrderStatus
  /** Created at or after, ISO 8601. */
  readonly from?: string
  /** Created before, ISO 8601. */
  readonly to?: string
}

export interface KeyedOrder {
  readonly order: StoredOrder
  readonly fingerprint: string
}

/** A request for an order; `owner` undefined: of any user. */
interface WantedOrder {
  readonly id: number
  readonly owner: number | undefined
}

const nameOf = ({ id, owner }: WantedOrder): string => `${id} ${owner}`

/** `not_possible`: the order is not in one of the states that the transition starts from, or there is none for this owner. */
export type Transition = { readonly outcome: 'changed'; readonly order: StoredOrder } | { readonly outcome: 'not_possible' }

export type OrderRepository = ReturnType<typeof createOrderRepository>

const orderColumns = sql`
  o.id, o.user_id, o.total, o.currency, o.status, o.created_at,
  (select jsonb_agg(jsonb_build_object('product_id', i.product_id, 'product', i.product, 'quantity', i.quantity, 'price', i.price) order by i.line)
     from ${orderItems} i where i.order_id = o.id) as items`

export const createOrderRepository = (db: Database) => {
  const selectWanted = db.prepare<StoredOrder & { n: number }>(sql`
    select w.n, ${orderColumns}
      from unnest(${sql.placeholder('ids')}::int[], ${sql.placeholder('owners')}::int[]) with ordinality as w(id, owner, n)
      join ${orders} o on o.id = w.id and (w.owner is null or o.user_id = w.owner)`)

  /** Concurrent reads share a statement, each with its own owner. */
  const byId = coalesce<WantedOrder, StoredOrder | undefined>(
    async (wanted) => {
      const distinct = [...new Map(wanted.map((one) => [nameOf(one), one])).values()]
      const found = await selectWanted({
        ids: arrayLiteral(distinct.map(({ id }) => id)),
        owners: arrayLiteral(distinct.map(({ owner }) => owner ?? 'null')),
      })
      const byName = new Map(found.map(({ n, ...order }) => [nameOf(distinct[n - 1] as WantedOrder), order]))
      return wanted.map((one) => byName.get(nameOf(one)))
    },
    { max: 64, lanes: 4 },
  )

  return {
    place: placeTogether(placeOrders(db)),

    /** Undefined also if `owner` is given and differs. */
    byId: (id: number, owner: number | undefined): Promise<StoredOrder | undefined> => byId({ id, owner }),

    byKey: async (userId: number, key: string): Promise<KeyedOrder | undefined> => {
      const [row] = await db.run<StoredOrder & { fingerprint: string }>(
        sql`select ${orderColumns}, o.fingerprint from ${orders} o where o.user_id = ${userId} and o.idempotency_key = ${key}`,
      )
      if (!row) return undefined
      const { fingerprint, ...order } = row
      return { order, fingerprint }
    },

    page: (page: PageRequest, { user_id, status, ...period }: OrderFilter, owner: number | undefined): Promise<StoredOrder[]> =>
      db.run<StoredOrder>(
        sql`select ${orderColumns} from ${orders} o ${pageClauses(page, { at: sql`o.created_at`, id: sql`o.id` }, [
          equals(sql`o.user_id`, owner),
          equals(sql`o.user_id`, user_id),
          equals(sql`o.status`, status),
          ...during(sql`o.created_at`, period),
        ])}`,
      ),

    /** One transition of an order, with its event. A cancelled order gives back its stock in the same statement. */
    transition: async (
      id: number,
      from: readonly OrderStatus[],
      to: OrderStatus,
      event: StepEvent<'order.status_changed' | 'order.cancelled'>,
      owner: number | undefined,
    ): Promise<Transition> => {
      const states = JSON.stringify(from)
      const [row] = await db.write<StoredOrder>(sql`
      with before as (
        select id, status from ${orders}
         where ${allOf([equals(sql`id`, id), equals(sql`user_id`, owner), sql`status in (select value from jsonb_array_elements_text(${states}::jsonb))`])}
           for update
      ), o as (
        update ${orders} as c set status = ${to}, version = c.version + 1
          from before where c.id = before.id
        returning c.*, before.status as was
      ), ${giveBack},
      event as (${appendEvent(outbox, event, sql`o`, stepData)})
      select ${orderColumns} from o`)
      return row ? { outcome: 'changed', order: row } : { outcome: 'not_possible' }
    },

    /** Inserts orders with their ids, and stock, but only into empty tables. Later ids continue from there. */
    seed: async (rows: readonly StoredOrder[], levels: readonly StockLevel[]): Promise<void> => {
      await db.run(sql`
      with input as materialized (
        select * from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
            as r(id int, user_id int, total bigint, currency text, status text, created_at timestamptz, items jsonb)
         where not exists (select from ${orders}) and not exists (select from ${stock})
      ), seeded as (
        insert into ${orders} (id, user_id, total, currency, status, created_at)
        select id, user_id, total, currency, status, created_at from input returning id
      ), item as (
        insert into ${orderItems} (order_id, line, product_id, product, quantity, price, taken)
        select input.id, l.line, (l.item->>'product_id')::int, l.item->>'product', (l.item->>'quantity')::int, (l.item->>'price')::bigint,
               (l.item->>'quantity')::int
          from input, jsonb_array_elements(input.items) with ordinality as l(item, line)
      ), level as (
        insert into ${stock} (product_id, available)
        select l.product_id, l.available from jsonb_to_recordset(${JSON.stringify(levels)}::jsonb) as l(product_id int, available int)
         where exists (select from input)
      )
      select setval(pg_get_serial_sequence('orders.orders', 'id'), max(id)) from seeded having count(*) > 0`)
    },
  }
}
