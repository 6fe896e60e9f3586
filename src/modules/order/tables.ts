import { sql } from 'drizzle-orm'
import { bigint, check, index, integer, pgSchema, primaryKey, text, uniqueIndex } from 'drizzle-orm/pg-core'
import { deadLetterTable, inboxTable, outboxTable, subscriptionTable, timestamptz } from '../../platform/events/tables.ts'
import type { OrderStatus } from './contract.ts'

export const schema = pgSchema('orders')

export const orders = schema.table(
  'orders',
  {
    id: integer().generatedByDefaultAsIdentity().primaryKey(),
    user_id: integer().notNull(),
    total: bigint({ mode: 'number' }).notNull(),
    currency: text().notNull(),
    status: text().$type<OrderStatus>().notNull().default('pending'),
    version: integer().notNull().default(1),
    idempotency_key: text(),
    /** SHA-256 of the request, so that one key cannot mean two different orders. */
    fingerprint: text(),
    /** The slot of a pending order, one of as many as a person may have; null if not limited. */
    open_slot: integer(),
    created_at: timestamptz().notNull().defaultNow(),
  },
  (table) => [
    uniqueIndex('orders_idempotency').on(table.user_id, table.idempotency_key).where(sql`${table.idempotency_key} is not null`),
    // Enforces the limit for concurrent orders. An order that is no longer pending frees its slot.
    uniqueIndex('orders_open')
      .on(table.user_id, table.open_slot)
      .where(sql`${table.status} = 'pending' and ${table.open_slot} is not null`),
    index('orders_pending').on(table.created_at).where(sql`${table.status} = 'pending'`),
    index('orders_page').on(table.created_at.desc().nullsFirst(), table.id.desc().nullsFirst()),
    index('orders_by_user').on(table.user_id, table.created_at.desc().nullsFirst(), table.id.desc().nullsFirst()),
    check('orders_status', sql`${table.status} in ('pending', 'processing', 'completed', 'cancelled')`),
  ],
)

export const orderItems = schema.table(
  'order_items',
  {
    order_id: integer()
      .notNull()
      .references(() => orders.id),
    line: integer().notNull(),
    product_id: integer().notNull(),
    product: text().notNull(),
    quantity: integer().notNull(),
    price: bigint({ mode: 'number' }).notNull(),
    /**
     * Pieces that the order took from the stock: exactly these go back. Null in orders of earlier releases: all of `quantity`.
     */
    taken: integer(),
  },
  (table) => [primaryKey({ columns: [table.order_id, table.line] }), check('order_items_quantity', sql`${table.quantity} > 0`)],
)

/**
 * `tracked`: orders take from it. `untracked`: always available again. `gone`: the product is deleted, and no late write changes
 * that.
 */
export type StockState = 'tracked' | 'untracked' | 'gone'

/** A product without a row here is not stock-tracked either. A row is never deleted: its version continues (docs/adr/0030). */
export const stock = schema.table(
  'stock',
  {
    product_id: integer().primaryKey(),
    /** Wider than what can be set, because the stock that orders give back adds up. */
    available: bigint({ mode: 'number' }).notNull(),
    state: text().$type<StockState>().notNull().default('tracked'),
    version: integer().notNull().default(1),
  },
  (table) => [
    check('stock_available', sql`${table.available} >= 0`),
    check('stock_state', sql`${table.state} in ('tracked', 'untracked', 'gone')`),
  ],
)

export const outbox = outboxTable(schema)
export const subscriptions = subscriptionTable(schema)
export const inbox = inboxTable(schema)
export const deadLetters = deadLetterTable(schema)
