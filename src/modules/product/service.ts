import type { CallContext } from '../../platform/context.ts'
import { newEvent } from '../../platform/events/event.ts'
import { type Page, type PageRequest, pageOf } from '../../platform/page.ts'
import { type Product, productContract } from './contract.ts'
import { fail } from './errors.ts'
import type { NewProduct, ProductChanges, ProductFilter, ProductRepository } from './repository.ts'

export type ProductService = ReturnType<typeof createProductService>

export const createProductService = ({ repository }: { repository: ProductRepository }) => {
  const get = async (id: number): Promise<Product> => {
    const [product] = await repository.find([id])
    if (!product) throw fail('product.not_found', { id })
    return product
  }

  return {
    get,
    find: (ids: readonly number[], names?: readonly string[]): Promise<Product[]> => repository.find(ids, names),

    list: async (page: PageRequest, filter: ProductFilter): Promise<Page<Product>> =>
      pageOf(await repository.page(page, filter), page.limit, ({ created_at, id }) => ({ at: created_at, id })),

    create: async (product: NewProduct, context: CallContext): Promise<Product> => {
      const created = await repository.insert(
        product,
        newEvent(productContract, 'product.created', context, { fields: Object.keys(product) }),
      )
      if (created.outcome === 'sku_taken') throw fail('product.sku_taken', { sku: product.sku })
      return created.product
    },

    update: async (id: number, changes: ProductChanges, context: CallContext): Promise<Product> => {
      if (Object.keys(changes).length === 0) return get(id)
      const updated = await repository.update(
        id,
        changes,
        newEvent(productContract, 'product.updated', context, { fields: Object.keys(changes) }),
      )
      if (updated.outcome === 'sku_taken') throw fail('product.sku_taken', { sku: changes.sku })
      if (updated.outcome === 'not_found') throw fail('product.not_found', { id })
      return updated.product
    },

    remove: async (id: number, context: CallContext): Promise<Product> => {
      const removed = await repository.remove(id, newEvent(productContract, 'product.deleted', context, { fields: [] }))
      if (removed.outcome === 'not_found') throw fail('product.not_found', { id })
      return removed.product
    },
  }
}
