import { type Static, Type } from 'typebox'
import { defineContract } from '../../platform/contract.ts'
import { Id, inMinorUnits, Timestamp } from '../../platform/schema.ts'
import { productErrors } from './errors.ts'

export const Product = Type.Object(
  {
    id: Id,
    sku: Type.String({ minLength: 1, maxLength: 64, pattern: '^\\S+$', description: 'unique' }),
    name: Type.String({ minLength: 1, maxLength: 200, pattern: '\\S' }),
    description: Type.String({ maxLength: 2000 }),
    price: Type.Integer({ minimum: 0, maximum: 1_000_000_000, description: inMinorUnits }),
    currency: Type.String({ description: 'ISO 4217' }),
    active: Type.Boolean({ description: 'for sale' }),
    created_at: Timestamp,
  },
  { title: 'Product' },
)
export type Product = Static<typeof Product>

const ProductChange = Type.Object({ fields: Type.Array(Type.String()) })

export const productContract = defineContract({
  name: 'product',
  port: 5003,
  errors: productErrors,
  tags: ['products'],
  paths: ['/products'],
  bodyLimits: { 'POST /products': 32 * 1024, 'PATCH /products/:id': 32 * 1024 },
  ops: {
    /** Products by id, and by sku or exact name. Missing ones are left out; several may share a name. */
    getProducts: {
      input: Type.Object({
        ids: Type.Array(Id, { maxItems: 100 }),
        names: Type.Optional(Type.Array(Type.String({ maxLength: 200 }), { maxItems: 100 })),
      }),
      output: Type.Array(Product),
      idempotent: true,
      timeoutMs: 5000,
    },
  },
  events: { 'product.created': ProductChange, 'product.updated': ProductChange, 'product.deleted': ProductChange },
})
