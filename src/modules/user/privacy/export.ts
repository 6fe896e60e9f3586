import { type CallContext, ownerOf } from '../../../platform/context.ts'
import type { Api } from '../../../platform/contract.ts'
import { Failure } from '../../../platform/errors.ts'
import { newEvent } from '../../../platform/events/event.ts'
import type { Notification, notificationContract } from '../../notification/contract.ts'
import type { OwnOrder, orderContract } from '../../order/contract.ts'
import { type User, userContract } from '../contract.ts'
import { fail } from '../errors.ts'
import type { AccountRecord, ExportRepository } from './export-repository.ts'

export interface PersonExport {
  readonly exported_at: string
  readonly user: User
  readonly account: AccountRecord
  readonly orders: readonly OwnOrder[]
  readonly notifications: readonly Notification[]
  /** Modules whose data is missing or incomplete, because they did not respond in time. */
  readonly incomplete: readonly ('orders' | 'notifications')[]
}

export interface ExportServiceOptions {
  readonly repository: ExportRepository
  readonly orders: Pick<Api<typeof orderContract>, 'getOrdersOf'> | undefined
  readonly notifications: Pick<Api<typeof notificationContract>, 'getNotificationsOf'> | undefined
}

export type ExportService = ReturnType<typeof createExportService>

/** Every page, or the pages before the other side stopped responding. */
const readAll = async <T>(
  page: ((cursor: string | undefined) => Promise<{ items: readonly T[]; next: string | undefined }>) | undefined,
): Promise<{ items: T[]; whole: boolean }> => {
  const items: T[] = []
  let cursor: string | undefined
  do {
    const got = await page?.(cursor).catch((error) => (error instanceof Failure ? undefined : Promise.reject(error)))
    if (!got) return { items, whole: false }
    items.push(...got.items)
    cursor = got.next
  } while (cursor !== undefined)
  return { items, whole: true }
}

/** Collects the data held about a person, in all modules (GDPR, articles 15 and 20). */
export const createExportService = ({ repository, orders, notifications }: ExportServiceOptions) => ({
  /** @throws user.not_found */
  exportUser: async (id: number, context: CallContext): Promise<PersonExport> => {
    const own = await repository.read(id, ownerOf(context), newEvent(userContract, 'user.exported', context))
    if (!own) throw fail('user.not_found', { id })
    const of = (cursor: string | undefined) => ({ user_id: id, ...(cursor === undefined ? {} : { cursor }) })
    const [ordered, sent] = await Promise.all([
      readAll(
        orders &&
          (async (cursor) => {
            const page = await orders.getOrdersOf(of(cursor), context)
            return { items: page.orders, next: page.next_cursor }
          }),
      ),
      readAll(
        notifications &&
          (async (cursor) => {
            const page = await notifications.getNotificationsOf(of(cursor), context)
            return { items: page.notifications, next: page.next_cursor }
          }),
      ),
    ])
    return {
      exported_at: new Date().toISOString(),
      ...own,
      orders: ordered.items,
      notifications: sent.items,
      incomplete: [...(ordered.whole ? [] : ['orders' as const]), ...(sent.whole ? [] : ['notifications' as const])],
    }
  },
})
