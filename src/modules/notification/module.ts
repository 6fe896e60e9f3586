import { createBackground } from '../../platform/concurrency/background.ts'
import { defineModule } from '../../platform/module.ts'
import { orderContract } from '../order/contract.ts'
import { userContract } from '../user/contract.ts'
import { accountHandlers } from './account-handlers.ts'
import { createAccountMail } from './account-mail.ts'
import { Channel, notificationContract } from './contract.ts'
import { createAttempt } from './delivery/attempt.ts'
import { createBreaker } from './delivery/breaker.ts'
import { createDeliveryRepository } from './delivery/repository.ts'
import { createChannelWorker } from './delivery/worker.ts'
import { dependencies } from './dependencies.ts'
import { createMessageLimits } from './message-limits.ts'
import { createProviders } from './providers.ts'
import { createNotificationRepository } from './repository.ts'
import { notificationRoutes } from './routes.ts'
import { createNotificationService } from './service.ts'
import { deadLetters, inbox, outbox } from './tables.ts'

const pruneEveryMs = 3_600_000

export default defineModule({
  contract: notificationContract,
  dependencies,
  publishers: [orderContract, userContract],
  tables: { outbox, inbox, deadLetters },
  config: ['smtpUrl', 'mailFrom', 'smsUrl', 'smsFrom', 'dataDir', 'workers', 'publicUrl', 'messagesPerHour'],
  uses: ['db', 'keys', 'retry', 'deliveryLimiter'],
  create: ({ clients, db, config, keys, log, metrics, retry, deliveryLimiter, onStop }) => {
    const providers = createProviders({ ...config, log })
    onStop('providers', providers.close)
    const repository = createNotificationRepository(db)
    const deliveries = createDeliveryRepository(db, retry)
    const { users } = clients
    // Ten times the first backoff of a message: 5 s by default.
    const breakers = {
      email: createBreaker('email', retry.backoffMs * 10, log),
      sms: createBreaker('sms', retry.backoffMs * 10, log),
    }
    const attempt = createAttempt({ repository: deliveries, users, providers, breakers, log })
    const workers = Channel.anyOf.map(({ const: channel }) => {
      metrics.messages(channel, () => deliveries.backlog(channel))
      const breaker = breakers[channel]
      return createChannelWorker({
        channel,
        repository: deliveries,
        attempt,
        breaker,
        concurrency: config.workers,
        deliveryLimiter,
        log,
      })
    })
    onStop('channel workers', () => Promise.all(workers.map((worker) => worker.close())))
    const accountMail = createAccountMail({ repository, users, providers, breaker: breakers.email, publicUrl: config.publicUrl })
    const wakeWorkers = () => {
      for (const worker of workers) worker.wake()
    }
    const limitsOf = createMessageLimits({ keys, perHour: config.messagesPerHour })
    const counts = createBackground(async () => {
      await deliveries.prune().catch((error) => log.warn({ err: error }, 'deleting expired message counters failed; will retry'))
      return pruneEveryMs
    })
    onStop('message counters', counts.close)
    const service = createNotificationService({ repository, deliveries, users, providers, limitsOf, wakeWorkers })
    return {
      api: { getNotificationsOf: ({ user_id, cursor }) => service.listOf(user_id, cursor) },
      handlers: {
        'order.created': service.onOrderEvent,
        'order.status_changed': service.onOrderEvent,
        'order.cancelled': service.onOrderEvent,
        ...accountHandlers(accountMail),
        'notification.retry_requested': service.onRetryRequested,
        'user.email_confirmed': service.onEmailConfirmed,
        'user.deleted': service.onUserDeleted,
      },
      routes: async (app) => {
        await app.register(notificationRoutes, { service })
      },
      start: () => {
        counts.start()
        for (const worker of workers) worker.start()
      },
    }
  },
})
