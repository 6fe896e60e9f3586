import { handlerOf } from '../../platform/events/consumer.ts'
import { deadLetterRoutes } from '../../platform/events/dead-letter-routes.ts'
import { createDeadLetterRepository } from '../../platform/events/repository.ts'
import { defineModule } from '../../platform/module.ts'
import { orderContract } from '../order/contract.ts'
import { userContract } from '../user/contract.ts'
import { notificationContract } from './contract.ts'
import { createProviders } from './providers.ts'
import { createNotificationRepository } from './repository.ts'
import { notificationRoutes } from './routes.ts'
import { createNotificationService } from './service.ts'
import { deadLetters, inbox, outbox } from './tables.ts'

export default defineModule({
  contract: notificationContract,
  needs: { users: userContract },
  tables: { outbox, inbox, deadLetters },
  create: ({ calls, db, config, log, queues, nudge }) => {
    const { events } = orderContract
    const providers = createProviders({ ...config, log })
    const service = createNotificationService({
      repository: createNotificationRepository(db),
      users: calls.users,
      providers,
      nudge,
    })
    return {
      api: {},
      handlers: {
        'order.created': handlerOf(events['order.created'], service.onOrderEvent),
        'order.status_changed': handlerOf(events['order.status_changed'], service.onOrderEvent),
        'order.cancelled': handlerOf(events['order.cancelled'], service.onOrderEvent),
        'notification.retry_requested': handlerOf(
          notificationContract.events['notification.retry_requested'],
          service.onRetryRequested,
        ),
      },
      routes: async (app) => {
        await app.register(notificationRoutes, { service })
        await app.register(deadLetterRoutes, {
          path: '/notifications/dead-letters',
          tag: 'notifications',
          queue: notificationContract.name,
          queues,
          repository: createDeadLetterRepository(db, deadLetters),
        })
      },
      close: () => providers.close(),
    }
  },
})
