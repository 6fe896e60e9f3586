import { type Static, Type } from 'typebox'
import { defineContract } from '../../platform/contract.ts'
import { Id, inMinorUnits, Nullable, Timestamp } from '../../platform/schema.ts'
import { orderErrors } from './errors.ts'

export const OrderStatus = Type.Union([
  Type.Literal('pending'),
  Type.Literal('processing'),
  Type.Literal('completed'),
  Type.Literal('cancelled'),
])
export type OrderStatus = Static<typeof OrderStatus>

/** What was bought, as it was at that time: the catalogue may change, the order does not. */
export const OrderItem = Type.Object(
  {
    product_id: Id,
    product: Type.String({ description: 'name at the time of the order' }),
    quantity: Type.Integer({ minimum: 1 }),
    price: Type.Integer({ minimum: 0, description: `of one piece, at the time of the order; ${inMinorUnits}` }),
  },
  { title: 'OrderItem' },
)
export type OrderItem = Static<typeof OrderItem>

export const OrderUser = Type.Object({ id: Id, name: Type.String(), email: Type.String() }, { title: 'OrderUser' })

export const Order = Type.Object(
  {
    id: Id,
    user_id: Id,
    user: Nullable(OrderUser),
    items: Type.Array(OrderItem),
    total: Type.Integer({ description: inMinorUnits }),
    currency: Type.String({ description: 'ISO 4217' }),
    status: OrderStatus,
    created_at: Timestamp,
  },
  { title: 'Order', description: '`user` is null if the user service does not respond in time or the user was deleted' },
)
export type Order = Static<typeof Order>

const { user: _, ...ofOrder } = Order.properties
/** An order without its user, whom the reader knows. */
export const OwnOrder = Type.Object(ofOrder, { title: 'OwnOrder' })
export type OwnOrder = Static<typeof OwnOrder>

const common = { order_id: Id, user_id: Id, total: Type.Integer(), currency: Type.String() }
const OrderCreated = Type.Object({ ...common, items: Type.Array(OrderItem) })
const OrderStep = Type.Object({
  ...common,
  from: OrderStatus,
  to: OrderStatus,
  /** The reason, if no person caused it. */
  reason: Type.Optional(Type.Literal('expired')),
})

export type OrderCreated = Static<typeof OrderCreated>
export type OrderStep = Static<typeof OrderStep>

export const orderContract = defineContract({
  name: 'order',
  port: 5002,
  errors: orderErrors,
  tags: ['orders', 'inventory'],
  complianceTags: { order: ['financial'] },
  paths: ['/orders', '/inventory'],
  bodyLimits: { 'POST /orders': 256 * 1024 },
  ops: {
    /** One user's orders, newest first, a hundred per page; `next_cursor` if there are more. */
    getOrdersOf: {
      input: Type.Object({ user_id: Id, cursor: Type.Optional(Type.String({ maxLength: 200 })) }),
      output: Type.Object({ orders: Type.Array(OwnOrder), next_cursor: Type.Optional(Type.String()) }),
      idempotent: true,
      timeoutMs: 3000,
    },
  },
  events: {
    'order.created': OrderCreated,
    'order.status_changed': OrderStep,
    'order.cancelled': OrderStep,
    'inventory.set': Type.Object({ product_id: Id, available: Type.Integer() }),
    /** No longer stock-tracked; `available` is the last level. */
    'inventory.removed': Type.Object({ product_id: Id, available: Type.Integer() }),
  },
  subscribes: ['product.deleted'],
})
