import { handlerOf } from '../../platform/events/consumer.ts'
import { defineModule } from '../../platform/module.ts'
import { orderContract } from '../order/contract.ts'
import { userContract } from '../user/contract.ts'
import { createAccountMail } from './account-mail.ts'
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
  create: ({ calls, db, config, log, nudge }) => {
    const { events } = orderContract
    const providers = createProviders({ ...config, log })
    const repository = createNotificationRepository(db)
    const accountMail = createAccountMail({ repository, users: calls.users, providers, publicUrl: config.publicUrl })
    const service = createNotificationService({
      repository,
      users: calls.users,
      providers,
      nudge,
    })
    return {
      api: { getNotificationsOf: ({ user_id, cursor }) => service.listOf(user_id, cursor) },
      handlers: {
        'order.created': handlerOf(events['order.created'], service.onOrderEvent),
        'order.status_changed': handlerOf(events['order.status_changed'], service.onOrderEvent),
        'order.cancelled': handlerOf(events['order.cancelled'], service.onOrderEvent),
        'user.activation_requested': handlerOf(userContract.events['user.activation_requested'], accountMail.onActivation),
        'user.password_reset_requested': handlerOf(userContract.events['user.password_reset_requested'], accountMail.onReset),
        'notification.retry_requested': handlerOf(
          notificationContract.events['notification.retry_requested'],
          service.onRetryRequested,
        ),
        'user.deleted': handlerOf(userContract.events['user.deleted'], service.onUserDeleted),
      },
      routes: async (app) => {
        await app.register(notificationRoutes, { service })
      },
      close: () => providers.close(),
    }
  },
})
