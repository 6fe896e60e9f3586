import { defineModule } from '../../platform/module.ts'
import { productContract } from '../product/contract.ts'
import { userContract } from '../user/contract.ts'
import { orderContract } from './contract.ts'
import { inventoryRoutes } from './inventory-routes.ts'
import { createOrderRepository } from './repository.ts'
import { orderRoutes } from './routes.ts'
import { sampleOrders, sampleStock } from './sample.ts'
import { createOrderService } from './service.ts'
import { outbox } from './tables.ts'

export default defineModule({
  contract: orderContract,
  needs: { users: userContract, products: productContract },
  tables: { outbox },
  create: ({ calls, db, nudge }) => {
    const repository = createOrderRepository(db)
    const service = createOrderService({ repository, users: calls.users, products: calls.products, nudge })
    return {
      api: { getOrdersOf: ({ user_id, cursor }) => service.listOf(user_id, cursor) },
      routes: async (app) => {
        await app.register(orderRoutes, { service })
        await app.register(inventoryRoutes, { service })
      },
      seed: () => repository.seed(sampleOrders, sampleStock),
    }
  },
})
