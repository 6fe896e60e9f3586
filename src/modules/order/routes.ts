import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { pageQuery, pageRequest } from '../../platform/page.ts'
import { dataReply, Many, One, operationsOf, pageReply } from '../../platform/route.ts'
import { Id, idParams, Strict, Text } from '../../platform/schema.ts'
import { Order, OrderStatus, orderContract } from './contract.ts'
import { messages } from './messages.ts'
import type { OrderService } from './service.ts'

const NewOrder = Strict(
  {
    user_id: Type.Optional(Type.Integer({ ...Id, description: 'default: the signed-in person' })),
    items: Type.Array(
      Strict({
        product_id: Type.Optional(Id),
        product: Type.Optional(
          Text('typed', {
            minLength: 1,
            maxLength: 200,
            description: 'sku or name, instead of product_id; in any Unicode form',
          }),
        ),
        quantity: Type.Integer({ minimum: 1, maximum: 10_000 }),
        price: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000_000, description: "must equal the catalogue's" })),
      }),
      { minItems: 1, maxItems: 100 },
    ),
  },
  { title: 'NewOrder', examples: [{ user_id: 3, items: [{ product_id: 2, quantity: 2 }] }] },
)

const IdempotencyKey = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 255,
      pattern: '^[\\x21-\\x7e]+$',
      description: 'the same key and body return the first order',
    }),
  ),
})

const ListQuery = Strict({
  ...pageQuery,
  user_id: Type.Optional(Id),
  status: Type.Optional(OrderStatus),
  from: Type.Optional(Type.String({ format: 'date-time', description: 'created at or after' })),
  to: Type.Optional(Type.String({ format: 'date-time', description: 'created before' })),
})

const operation = operationsOf(orderContract, 'orders')

export const orderRoutes: FastifyPluginAsyncTypebox<{ service: OrderService }> = async (app, { service }) => {
  app.get(
    '/orders',
    { schema: { ...operation('listOrders', 'Orders, newest first'), querystring: ListQuery, response: { 200: Many(Order) } } },
    async ({ query, call }) => pageReply(await service.list(pageRequest(query), query, call)),
  )

  app.get(
    '/orders/:id',
    { schema: { ...operation('getOrder', 'One order'), params: idParams(1), response: { 200: One(Order) } } },
    async ({ params, call }) => dataReply(await service.get(params.id, call)),
  )

  app.post(
    '/orders',
    {
      config: { message: messages['order.created'] },
      schema: {
        ...operation('createOrder', 'Place an order, all or nothing'),
        description:
          'The number of pending orders per person is limited (`ORDER_PENDING_LIMIT`: 409 `order.too_many_pending`), and so is the quantity of one product per order (`ORDER_QUANTITY_LIMIT`: 422 `order.quantity_too_large`). Orders of staff and programs are not limited. With `ORDER_PENDING_TTL`, an order that stays pending for longer is cancelled and its stock goes back. Mails about the order are held until the person has confirmed their address. SMS are sent only to confirmed phones.',
        headers: IdempotencyKey,
        body: NewOrder,
        response: { 201: One(Order) },
      },
    },
    async ({ body, headers, call }, reply) => {
      const { outcome, order } = await service.create(body, headers['idempotency-key'], call)
      if (outcome === 'replayed') reply.header('idempotency-replayed', 'true')
      return reply.code(201).header('location', `/api/v1/orders/${order.id}`).send(dataReply(order))
    },
  )

  app.post(
    '/orders/:id/cancel',
    {
      config: { message: messages['order.cancelled'] },
      schema: {
        ...operation('cancelOrder', 'Cancel an order; its stock goes back'),
        params: idParams(2),
        response: { 200: One(Order) },
      },
    },
    async ({ params, call }) => dataReply(await service.setStatus(params.id, 'cancelled', call)),
  )

  app.patch(
    '/orders/:id',
    {
      config: { message: messages['order.updated'] },
      schema: {
        ...operation('updateOrder', 'Change the status of an order: pending, processing, completed, or cancelled'),
        params: idParams(1),
        body: Strict({ status: OrderStatus }, { title: 'OrderChanges', examples: [{ status: 'completed' }] }),
        response: { 200: One(Order) },
      },
    },
    async ({ params, body, call }) => dataReply(await service.setStatus(params.id, body.status, call)),
  )
}
