import { type CallContext, ownerOf } from '../../platform/context.ts'
import type { Api } from '../../platform/contract.ts'
import { type EventEnvelope, newEvent } from '../../platform/events/event.ts'
import { type Page, type PageRequest, pageOf, pageRequest } from '../../platform/page.ts'
import type { userContract } from '../user/contract.ts'
import { type Notification, notificationContract } from './contract.ts'
import type { DeliveryRepository } from './delivery/repository.ts'
import { fail } from './errors.ts'
import { ifFound } from './if-found.ts'
import type { MessageLimits } from './message-limits.ts'
import { messagesFor } from './messages-for.ts'
import type { OrderFacts } from './order-message.ts'
import type { Providers } from './providers.ts'
import type { NotificationFilter, NotificationRepository } from './repository.ts'

export interface NotificationServiceOptions {
  readonly repository: NotificationRepository
  readonly deliveries: Pick<DeliveryRepository, 'receive' | 'makeDue' | 'releaseHeld'>
  readonly users: Pick<Api<typeof userContract>, 'getUser'>
  readonly providers: Pick<Providers, 'forget'>
  readonly limitsOf: MessageLimits
  /** Messages are due. */
  readonly wakeWorkers: () => void
}

export type NotificationService = ReturnType<typeof createNotificationService>

export const createNotificationService = (options: NotificationServiceOptions) => {
  const { repository, deliveries, users, providers, limitsOf, wakeWorkers } = options

  return {
    /** Records the messages for an order event. Idempotent. */
    onOrderEvent: async (event: EventEnvelope<OrderFacts & { user_id: number }>, context: CallContext): Promise<void> => {
      const { id, type, data, ...origin } = event
      const user = await ifFound(users.getUser({ id: data.user_id }, context))
      await deliveries.receive({
        event_id: id,
        event_type: type,
        order_id: data.order_id,
        user_id: data.user_id,
        content: { ...data },
        origin,
        messages: messagesFor(user, event.actor, limitsOf),
      })
      wakeWorkers()
    },

    /** Releases held messages. */
    onEmailConfirmed: async ({ aggregate_id }: EventEnvelope<object>): Promise<void> => {
      await deliveries.releaseHeld(Number(aggregate_id))
      wakeWorkers()
    },

    onRetryRequested: async ({ id, data }: EventEnvelope<{ notification_id: number }>): Promise<void> => {
      await deliveries.makeDue(id, data.notification_id)
      wakeWorkers()
    },

    /** Nothing that was sent to an erased person stays here. */
    onUserDeleted: async ({ aggregate_id }: EventEnvelope): Promise<void> => {
      const userId = Number(aggregate_id)
      await providers.forget(userId, await repository.eventsOf(userId))
    },

    get: async (id: number, context: CallContext): Promise<Notification> => {
      const notification = await repository.byId(id, ownerOf(context))
      if (!notification) throw fail('notification.not_found', { id })
      return notification
    },

    list: async (page: PageRequest, filter: NotificationFilter, context: CallContext): Promise<Page<Notification>> =>
      pageOf(await repository.page(page, filter, ownerOf(context)), page.limit, ({ created_at, id }) => ({ at: created_at, id })),

    /** Messages to one user: a page of maximum length. */
    listOf: async (
      userId: number,
      cursor: string | undefined,
    ): Promise<{ notifications: Notification[]; next_cursor?: string }> => {
      const page = pageRequest({ limit: 100, ...(cursor === undefined ? {} : { cursor }) })
      const { items, next } = pageOf(await repository.page(page, {}, userId), page.limit, ({ created_at, id }) => ({
        at: created_at,
        id,
      }))
      return { notifications: items, ...(next === undefined ? {} : { next_cursor: next }) }
    },

    /** @throws notification.not_found, notification.not_retryable */
    retry: async (id: number, context: CallContext): Promise<Notification> => {
      const retried = await repository.requestRetry(id, newEvent(notificationContract, 'notification.retry_requested', context))
      if (retried.outcome === 'requested') return retried.notification
      const notification = await repository.byId(id, ownerOf(context))
      if (!notification) throw fail('notification.not_found', { id })
      throw fail('notification.not_retryable', { id, state: notification.status })
    },
  }
}
