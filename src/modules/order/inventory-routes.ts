import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { invalid } from '../../platform/field-errors.ts'
import { pageQuery, pageRequest } from '../../platform/page.ts'
import { dataReply, Many, One, operationsOf, pageReply } from '../../platform/route.ts'
import { exampleId, Id, maxId, Strict } from '../../platform/schema.ts'
import { rules } from '../../platform/validation-messages.ts'
import { orderContract } from './contract.ts'
import { messages } from './messages.ts'
import type { StockService } from './stock-service.ts'

const StockLevel = Type.Object({ product_id: Id, available: Type.Integer({ minimum: 0 }) }, { title: 'StockLevel' })

const ListQuery = Strict({
  ...pageQuery,
  product_ids: Type.Optional(
    Type.String({ pattern: '^[1-9]\\d{0,9}(,[1-9]\\d{0,9}){0,99}$', description: 'comma-separated ids, at most 100' }),
  ),
})

const idsOf = (text: string | undefined): number[] | undefined => {
  const ids = text?.split(',').map(Number)
  if (ids?.some((id) => id > maxId)) {
    throw invalid([{ field: '/querystring/product_ids', message: rules.eachAtMost(maxId) }])
  }
  return ids
}

const operation = operationsOf(orderContract, 'inventory')

export const inventoryRoutes: FastifyPluginAsyncTypebox<{ service: StockService }> = async (app, { service }) => {
  app.get(
    '/inventory',
    {
      schema: {
        ...operation('listInventory', 'Stock by product; a product that is not listed is not stock-tracked'),
        querystring: ListQuery,
        response: { 200: Many(StockLevel) },
      },
    },
    async ({ query }) => pageReply(await service.list(idsOf(query.product_ids), pageRequest(query))),
  )

  app.put(
    '/inventory/:product_id',
    {
      config: { message: messages['inventory.set'] },
      schema: {
        ...operation('setInventory', 'Set the available stock; from then on, the product is stock-tracked'),
        params: Strict({ product_id: exampleId(2) }),
        body: Strict(
          { available: Type.Integer({ minimum: 0, maximum: maxId }) },
          { title: 'NewStockLevel', examples: [{ available: 100 }] },
        ),
        response: { 200: One(StockLevel) },
      },
    },
    async ({ params, body, call }) => dataReply(await service.set(params.product_id, body.available, call)),
  )

  app.delete(
    '/inventory/:product_id',
    {
      config: { message: messages['inventory.removed'] },
      schema: {
        ...operation('removeInventory', 'End stock tracking: the product is always available again; returns its last level'),
        params: Strict({ product_id: exampleId(3) }),
        response: { 200: One(StockLevel) },
      },
    },
    async ({ params, call }) => dataReply(await service.untrack(params.product_id, call)),
  )
}
