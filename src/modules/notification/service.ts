import { type CallContext, ownerOf } from '../../platform/context.ts'
import type { Api } from '../../platform/contract.ts'
import { fail } from '../../platform/errors.ts'
import { type EventEnvelope, newEvent } from '../../platform/events/event.ts'
import { type Page, type PageRequest, pageOf, pageRequest } from '../../platform/page.ts'
import type { User, userContract } from '../user/contract.ts'
import type { Channel, Notification, NotificationStatus } from './contract.ts'
import { ifFound } from './if-found.ts'
import { type OrderFacts, orderMessage } from './order-message.ts'
import { ProviderError, type Providers } from './providers.ts'
import type { ClaimedNotification, NotificationFilter, NotificationRepository } from './repository.ts'

export interface NotificationServiceOptions {
  readonly repository: NotificationRepository
  readonly users: Pick<Api<typeof userContract>, 'getUser'>
  readonly providers: Omit<Providers, 'close'>
  readonly nudge: () => void
}

export type NotificationService = ReturnType<typeof createNotificationService>

export const createNotificationService = ({ repository, users, providers, nudge }: NotificationServiceOptions) => {
  const findUser = (id: number, context: CallContext): Promise<User | undefined> => ifFound(users.getUser({ id }, context))

  const send = async (
    { event_id, event_type, channel, content }: ClaimedNotification,
    user: User,
  ): Promise<'sent' | 'no_address'> => {
    const message = orderMessage(event_type, content as unknown as OrderFacts, user)
    if (channel === 'email') {
      const { subject, text, html } = message
      await providers.email({ key: event_id, user_id: user.id, to: user.email, subject, text, html })
      return 'sent'
    }
    if (user.phone === null) return 'no_address'
    await providers.sms({ key: event_id, user_id: user.id, to: user.phone, text: message.short })
    return 'sent'
  }

  /** One attempt at one message, and its outcome on record. */
  const attempt = async (claimed: ClaimedNotification, user: User | undefined, context: CallContext): Promise<void> => {
    const finish = (status: NotificationStatus, reason: string | null) => repository.finish({ id: claimed.id, status, reason })
    if (!user) {
      await providers.forget(claimed.user_id)
      return finish('skipped', 'user.not_found')
    }
    try {
      const outcome = await send(claimed, user)
      // Erased while it was written: the handler of that event may have looked before.
      if (providers.keepsCopies[claimed.channel] && !(await findUser(user.id, context))) await providers.forget(user.id)
      await finish(outcome === 'sent' ? 'sent' : 'skipped', outcome === 'sent' ? null : 'user.no_address')
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error
      // Once in doubt, always in doubt: a later refusal does not say that the first try was not accepted.
      await finish(error.uncertain || claimed.uncertain ? 'uncertain' : 'failed', error.message)
      throw error
    }
  }

  const attemptAll = async (
    claimed: readonly ClaimedNotification[],
    user: User | undefined,
    context: CallContext,
  ): Promise<void> => {
    const results = await Promise.allSettled(claimed.map((one) => attempt(one, user, context)))
    const failed = results.find((result) => result.status === 'rejected')
    if (failed) throw failed.reason
  }

  return {
    /** Sends what an order event calls for, each channel once, however often the event is delivered. */
    onOrderEvent: async (event: EventEnvelope<OrderFacts & { user_id: number }>, context: CallContext): Promise<void> => {
      const { order_id, user_id } = event.data
      const user = await findUser(user_id, context)
      const channels: Channel[] = user?.phone ? ['email', 'sms'] : ['email']
      const received = await repository.receive({
        event_id: event.id,
        event_type: event.type,
        order_id,
        user_id,
        content: { ...event.data },
        channels,
      })
      if (received.length > 0) return attemptAll(received, user, context)
      const { claimed, busy } = await repository.claimEvent(event.id)
      await attemptAll(claimed, user, context)
      if (busy > 0) throw fail('notification.in_flight')
    },

    onRetryRequested: async (event: EventEnvelope<{ notification_id: number }>, context: CallContext): Promise<void> => {
      const { claimed, busy } = await repository.claimOne(event.data.notification_id)
      for (const one of claimed) await attempt(one, await findUser(one.user_id, context), context)
      if (busy > 0) throw fail('notification.in_flight')
    },

    /** Nothing that was sent to an erased person stays with us. */
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

    /** What was sent to one user: a page of the longest length. */
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
      const retried = await repository.requestRetry(id, newEvent('notification.retry_requested', context))
      if (retried) {
        nudge()
        return retried
      }
      const notification = await repository.byId(id, ownerOf(context))
      if (!notification) throw fail('notification.not_found', { id })
      throw fail('notification.not_retryable', { id, state: notification.status })
    },
  }
}
