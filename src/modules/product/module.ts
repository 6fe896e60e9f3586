import { defineModule } from '../../platform/module.ts'
import { productContract } from './contract.ts'
import { createUpkeep } from './normal-form-maintenance.ts'
import { createUpkeepRepository } from './normal-form-maintenance-repository.ts'
import { createProductRepository } from './repository.ts'
import { productRoutes } from './routes.ts'
import { sampleProducts } from './sample.ts'
import { createProductService } from './service.ts'
import { outbox } from './tables.ts'

export default defineModule({
  contract: productContract,
  needs: {},
  tables: { outbox },
  create: ({ db, log, nudge }) => {
    const repository = createProductRepository(db)
    const upkeep = createUpkeep({ repository: createUpkeepRepository(db), log })
    const service = createProductService({ repository, nudge })
    return {
      api: {
        getProducts: ({ ids, names }) => service.find(ids, names),
      },
      routes: async (app) => {
        await app.register(productRoutes, { service })
      },
      seed: () => repository.seed(sampleProducts),
      start: upkeep.start,
      close: upkeep.close,
    }
  },
})
