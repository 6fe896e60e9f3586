import { defineModule } from '../../platform/module.ts'
import { userContract } from './contract.ts'
import { createUserRepository } from './repository.ts'
import { userRoutes } from './routes.ts'
import { sampleUsers } from './sample.ts'
import { createUserService } from './service.ts'
import { outbox } from './tables.ts'

export default defineModule({
  contract: userContract,
  needs: {},
  tables: { outbox },
  create: ({ db, nudge }) => {
    const repository = createUserRepository(db)
    const service = createUserService({ repository, nudge })
    return {
      api: {
        getUser: ({ id }) => service.get(id),
        getUsers: ({ ids }) => service.getMany(ids),
      },
      routes: async (app) => {
        await app.register(userRoutes, { service })
      },
      seed: () => repository.seed(sampleUsers),
    }
  },
})
