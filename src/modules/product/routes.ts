import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { revalidate } from '../../platform/http/revalidate.ts'
import { pageQuery, pageRequest } from '../../platform/page.ts'
import { dataReply, Many, One, operationsOf, pageReply } from '../../platform/route.ts'
import { Currency, idParams, Strict, Text } from '../../platform/schema.ts'
import { Product, productContract } from './contract.ts'
import { messages } from './messages.ts'
import type { ProductService } from './service.ts'

const { price, active } = Product.properties

const NewProduct = Strict(
  {
    sku: Text('sku', { minLength: 1, maxLength: 64, pattern: '^\\S+$', description: 'unique, stored in Unicode form NFKC' }),
    name: Text('name', { minLength: 1, maxLength: 200, description: 'one line, stored in Unicode form NFC' }),
    description: Type.Optional(Text('text', { maxLength: 2000 })),
    price,
    currency: Type.Optional(Currency),
    active: Type.Optional(active),
  },
  {
    title: 'NewProduct',
    examples: [{ sku: 'LAMP-1', name: 'Desk lamp', description: 'Warm white', price: 900, currency: 'TWD' }],
  },
)
const ProductChanges = Type.Partial(NewProduct, {
  title: 'ProductChanges',
  additionalProperties: false,
  minProperties: 1,
  examples: [{ price: 550, active: true }],
})
const ListQuery = Strict({
  ...pageQuery,
  search: Type.Optional(
    Text('typed', {
      minLength: 1,
      maxLength: 100,
      description: 'part of the name or the sku, ignoring case and Unicode form',
    }),
  ),
  active: Type.Optional(Type.Boolean()),
})

const operation = operationsOf(productContract, 'products')

export const productRoutes: FastifyPluginAsyncTypebox<{ service: ProductService }> = async (app, { service }) => {
  app.get(
    '/products',
    {
      schema: {
        ...operation('listProducts', 'The catalogue, newest first'),
        querystring: ListQuery,
        response: { 200: Many(Product) },
      },
      onSend: revalidate,
    },
    async ({ query }) => pageReply(await service.list(pageRequest(query), query)),
  )

  app.get(
    '/products/:id',
    {
      schema: { ...operation('getProduct', 'One product'), params: idParams(2), response: { 200: One(Product) } },
      onSend: revalidate,
    },
    async ({ params }) => dataReply(await service.get(params.id)),
  )

  app.post(
    '/products',
    {
      config: { message: messages['product.created'] },
      schema: { ...operation('createProduct', 'Add a product'), body: NewProduct, response: { 201: One(Product) } },
    },
    async ({ body, call }, reply) => {
      const data = await service.create({ description: '', currency: 'TWD', active: true, ...body }, call)
      return reply.code(201).header('location', `/api/v1/products/${data.id}`).send(dataReply(data))
    },
  )

  app.patch(
    '/products/:id',
    {
      config: { message: messages['product.updated'] },
      schema: {
        ...operation('updateProduct', 'Change a product'),
        params: idParams(2),
        body: ProductChanges,
        response: { 200: One(Product) },
      },
    },
    async ({ params, body, call }) => dataReply(await service.update(params.id, body, call)),
  )

  app.delete(
    '/products/:id',
    {
      config: { message: messages['product.deleted'] },
      schema: {
        ...operation('deleteProduct', 'Delete a product; orders keep their copy of it'),
        params: idParams(3),
        response: { 200: One(Product) },
      },
    },
    async ({ params, call }) => dataReply(await service.remove(params.id, call)),
  )
}
