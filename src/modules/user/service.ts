import type { CallContext } from '../../platform/context.ts'
import { fail } from '../../platform/errors.ts'
import { newEvent } from '../../platform/events/event.ts'
import { type Page, type PageRequest, pageOf } from '../../platform/page.ts'
import type { User } from './contract.ts'
import type { NewUser, UserChanges, UserRepository } from './repository.ts'

export type UserService = ReturnType<typeof createUserService>

export const createUserService = ({ repository, nudge }: { repository: UserRepository; nudge: () => void }) => {
  const get = async (id: number): Promise<User> => {
    const [user] = await repository.byIds([id])
    if (!user) throw fail('user.not_found', { id })
    return user
  }

  return {
    get,
    getMany: (ids: readonly number[]): Promise<User[]> => repository.byIds(ids),

    list: async (page: PageRequest): Promise<Page<User>> =>
      pageOf(await repository.page(page), page.limit, ({ created_at, id }) => ({ at: created_at, id })),

    create: async (user: NewUser, context: CallContext): Promise<User> => {
      const created = await repository.insert(user, newEvent('user.created', context))
      if (!created) throw fail('user.email_taken')
      nudge()
      return created
    },

    update: async (id: number, changes: UserChanges, context: CallContext): Promise<User> => {
      if (Object.keys(changes).length === 0) return get(id)
      const updated = await repository.update(id, changes, newEvent('user.updated', context))
      if (updated === 'taken') throw fail('user.email_taken')
      if (!updated) throw fail('user.not_found', { id })
      nudge()
      return updated
    },

    remove: async (id: number, context: CallContext): Promise<User> => {
      const removed = await repository.remove(id, newEvent('user.deleted', context))
      if (!removed) throw fail('user.not_found', { id })
      nudge()
      return removed
    },
  }
}
