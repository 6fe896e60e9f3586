import { defineModule } from '../../platform/module.ts'
import { productContract } from './contract.ts'
import { createNormalFormMaintenance } from './normal-form-maintenance.ts'
import { createNormalFormMaintenanceRepository } from './normal-form-maintenance-repository.ts'
import { createProductRepository } from './repository.ts'
import { productRoutes } from './routes.ts'
import { sampleProducts } from './sample.ts'
import { createProductService } from './service.ts'
import { outbox } from './tables.ts'

export default defineModule({
  contract: productContract,
  tables: { outbox },
  uses: ['db'],
  create: ({ db, log, onStop }) => {
    const repository = createProductRepository(db)
    const normalFormMaintenance = createNormalFormMaintenance({ repository: createNormalFormMaintenanceRepository(db), log })
    onStop('normal form maintenance', normalFormMaintenance.close)
    const service = createProductService({ repository })
    return {
      api: {
        getProducts: ({ ids, names }) => service.find(ids, names),
      },
      routes: async (app) => {
        await app.register(productRoutes, { service })
      },
      seed: () => repository.seed(sampleProducts),
      start: normalFormMaintenance.start,
    }
  },
})
