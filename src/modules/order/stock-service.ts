import type { CallContext } from '../../platform/context.ts'
import type { Api } from '../../platform/contract.ts'
import { type EventEnvelope, newEvent } from '../../platform/events/event.ts'
import { type Page, type PageRequest, pageOf } from '../../platform/page.ts'
import type { productContract } from '../product/contract.ts'
import { orderContract } from './contract.ts'
import { fail } from './errors.ts'
import type { StockLevel, StockRepository } from './stock-repository.ts'

export interface StockServiceOptions {
  readonly repository: StockRepository
  readonly products: Pick<Api<typeof productContract>, 'getProducts'>
}

export type StockService = ReturnType<typeof createStockService>

export const createStockService = ({ repository, products }: StockServiceOptions) => ({
  list: async (productIds: readonly number[] | undefined, page: PageRequest): Promise<Page<StockLevel>> =>
    // The list is sorted by product id only: the cursor's time is ignored.
    pageOf(await repository.page(productIds, page), page.limit, ({ product_id }) => ({
      at: '1970-01-01T00:00:00Z',
      id: product_id,
    })),

  /** From then on, the product is stock-tracked. @throws product.not_found */
  set: async (productId: number, available: number, context: CallContext): Promise<StockLevel> => {
    const [product] = await products.getProducts({ ids: [productId] }, context)
    const set = product && (await repository.set(productId, available, newEvent(orderContract, 'inventory.set', context)))
    if (set?.outcome !== 'set') throw fail('product.not_found', { id: productId })
    return set.level
  },

  /** The product is always available again. Returns its last level. @throws inventory.not_tracked */
  untrack: async (productId: number, context: CallContext): Promise<StockLevel> => {
    const untracked = await repository.untrack(productId, newEvent(orderContract, 'inventory.removed', context))
    if (untracked.outcome === 'not_tracked') throw fail('inventory.not_tracked', { product_id: productId })
    return untracked.level
  },

  /** A deleted product has no stock. */
  onProductDeleted: async ({ id, aggregate_id }: EventEnvelope, context: CallContext): Promise<void> => {
    await repository.endAfter(id, Number(aggregate_id), newEvent(orderContract, 'inventory.removed', context))
  },
})
