import { defineModule } from '../../platform/module.ts'
import { productContract } from '../product/contract.ts'
import { orderContract } from './contract.ts'
import { dependencies } from './dependencies.ts'
import { createExpiry } from './expiry.ts'
import { createExpiryRepository } from './expiry-repository.ts'
import { inventoryRoutes } from './inventory-routes.ts'
import { createOrderRepository } from './repository.ts'
import { orderRoutes } from './routes.ts'
import { sampleOrders, sampleStock } from './sample.ts'
import { createOrderService } from './service.ts'
import { createStockMaintenance } from './stock-maintenance.ts'
import { createStockRepository } from './stock-repository.ts'
import { createStockService } from './stock-service.ts'
import { deadLetters, inbox, outbox } from './tables.ts'

export default defineModule({
  contract: orderContract,
  dependencies,
  publishers: [productContract],
  tables: { outbox, inbox, deadLetters },
  config: ['orderLimits', 'orderPendingTtlMs'],
  uses: ['db'],
  create: ({ clients, db, config, log, onStop }) => {
    const { users, products } = clients
    const repository = createOrderRepository(db)
    const levels = createStockRepository(db)
    const service = createOrderService({ repository, users, products, limits: config.orderLimits })
    const stock = createStockService({ repository: levels, products })
    const stockMaintenance = createStockMaintenance({ repository: levels, products, log })
    onStop('stock maintenance', stockMaintenance.close)
    const ttlMs = config.orderPendingTtlMs
    const expiry = ttlMs > 0 ? createExpiry({ repository: createExpiryRepository(db), ttlMs, log }) : undefined
    if (expiry) onStop('expiry', expiry.close)
    return {
      api: { getOrdersOf: ({ user_id, cursor }) => service.listOf(user_id, cursor) },
      handlers: { 'product.deleted': stock.onProductDeleted },
      routes: async (app) => {
        await app.register(orderRoutes, { service })
        await app.register(inventoryRoutes, { service: stock })
      },
      seed: () => repository.seed(sampleOrders, sampleStock),
      start: () => {
        stockMaintenance.start()
        expiry?.start()
      },
    }
  },
})
