import { defineModule } from '../../platform/module.ts'
import { productContract } from './contract.ts'
import { createProductRepository } from './repository.ts'
import { productRoutes } from './routes.ts'
import { sampleProducts } from './sample.ts'
import { createProductService } from './service.ts'
import { outbox } from './tables.ts'

export default defineModule({
  contract: productContract,
  needs: {},
  tables: { outbox },
  create: ({ db, nudge }) => {
    const repository = createProductRepository(db)
    const service = createProductService({ repository, nudge })
    return {
      api: {
        getProducts: ({ ids, names }) => service.find(ids, names),
      },
      routes: async (app) => {
        await app.register(productRoutes, { service })
      },
      seed: () => repository.seed(sampleProducts),
    }
  },
})
