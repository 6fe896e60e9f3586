import type { Logger } from 'pino'
import { type Background, createBackground } from '../../platform/concurrency/background.ts'
import { serviceContext } from '../../platform/context.ts'
import type { Api } from '../../platform/contract.ts'
import { newEvent } from '../../platform/events/event.ts'
import type { productContract } from '../product/contract.ts'
import { orderContract } from './contract.ts'
import type { StockRepository } from './stock-repository.ts'

export interface StockMaintenanceOptions {
  readonly repository: Pick<StockRepository, 'page' | 'end'>
  readonly products: Pick<Api<typeof productContract>, 'getProducts'>
  readonly log: Logger
}

const everyMs = 24 * 3_600_000
const retryMs = 60_000
/** Maximum of getProducts per call. */
const batch = 100

const ownContext = () => serviceContext('order', 10_000)

/**
 * Ends the stock of products that are no longer in the catalogue: deleted before this module consumed `product.deleted`, or while
 * its event was a dead letter. Runs at the start and once a day. Safe to run in several processes.
 */
export const createStockMaintenance = ({ repository, products, log }: StockMaintenanceOptions): Background => {
  const findOrphans = async (signal: AbortSignal): Promise<number[]> => {
    const orphans: number[] = []
    let known = 0
    let after = { at: '', id: 0 }
    while (!signal.aborted) {
      const ids = (await repository.page(undefined, { limit: batch - 1, after })).map(({ product_id }) => product_id)
      const last = ids.at(-1)
      if (last === undefined) break
      after = { at: '', id: last }
      const found = new Set((await products.getProducts({ ids }, ownContext())).map(({ id }) => id))
      known += found.size
      orphans.push(...ids.filter((id) => !found.has(id)))
    }
    // An empty catalogue is probably the wrong one, or not yet restored; a shop that removed every product is unlikely.
    if (orphans.length === 0 || known > 0) return orphans
    log.warn({ products: orphans.length }, 'the catalogue has none of the products with stock: keeping their stock')
    return []
  }

  const removeOrphans = async (signal: AbortSignal): Promise<void> => {
    let removed = 0
    for (const id of await findOrphans(signal)) {
      if (signal.aborted) break
      const { outcome } = await repository.end(id, newEvent(orderContract, 'inventory.removed', ownContext()))
      if (outcome === 'ended') removed++
    }
    if (removed > 0) log.info({ products: removed }, 'removed stock of products that are no longer in the catalogue')
  }

  return createBackground((signal) =>
    removeOrphans(signal).then(
      () => everyMs,
      (error) => {
        if (!signal.aborted) log.info({ err: error }, 'comparing stock with the catalogue failed; will retry in a minute')
        return retryMs
      },
    ),
  )
}
