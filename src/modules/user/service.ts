import { type CallContext, ownerOf } from '../../platform/context.ts'
import { newEvent } from '../../platform/events/event.ts'
import { type Page, type PageRequest, pageOf } from '../../platform/page.ts'
import { type Session, type User, userContract } from './contract.ts'
import { fail } from './errors.ts'
import type { UserRepository } from './repository.ts'
import type { AdminRepository } from './sign-in/admin-repository.ts'
import { assertReauthenticated } from './sign-in/reauthentication.ts'
import type { SecondFactor } from './sign-in/second-factor.ts'
import type { SignInThrottle } from './sign-in/sign-in-throttle.ts'
import type { UserChanges } from './update-repository.ts'
import { type NewUser, newUserFields } from './user-row.sql.ts'

export interface UserServiceOptions {
  readonly repository: UserRepository
  readonly admins: Pick<AdminRepository, 'isLast'>
  readonly secondFactor: Pick<SecondFactor, 'reset'>
  readonly throttle: Pick<SignInThrottle, 'forget'>
  readonly requireAdminMfa: boolean
}

export type UserService = ReturnType<typeof createUserService>

/** Callers who may access only their own data find nobody else. @throws user.not_found */
const reach = (id: number, context: CallContext): void => {
  const owner = ownerOf(context)
  if (owner !== undefined && owner !== id) throw fail('user.not_found', { id })
}

/** Administrators and programs can declare somebody's address and phone as confirmed; nobody can do this for themselves. */
const vouches = (id: number, { scope, actor }: CallContext): boolean =>
  scope === 'all' && !(actor.type === 'user' && actor.id === String(id))

export const createUserService = (options: UserServiceOptions) => {
  const { repository, admins, secondFactor, throttle, requireAdminMfa } = options

  const get = async (id: number): Promise<User> => {
    const [user] = await repository.byIds([id])
    if (!user) throw fail('user.not_found', { id })
    return user
  }

  return {
    get,
    read: async (id: number, context: CallContext): Promise<User> => {
      reach(id, context)
      return get(id)
    },
    getMany: (ids: readonly number[]): Promise<User[]> => repository.byIds(ids),

    sessions: async (ids: readonly number[]): Promise<Session[]> =>
      (await repository.sessions(ids)).map(({ enrolled, ...session }) => ({
        ...session,
        mfa_satisfied: enrolled || !requireAdminMfa || session.role !== 'admin',
        mfa_required: requireAdminMfa && session.role === 'admin',
      })),

    list: async (page: PageRequest): Promise<Page<User>> =>
      pageOf(await repository.page(page), page.limit, ({ created_at, id }) => ({ at: created_at, id })),

    create: async (user: NewUser, context: CallContext): Promise<User> => {
      if (user.role !== 'user' && context.scope === 'own') throw fail('auth.forbidden')
      const created = await repository.insert(user, newEvent(userContract, 'user.created', context, { fields: newUserFields }))
      if (created.outcome === 'email_taken') throw fail('user.email_taken')
      return created.user
    },

    update: async (id: number, changes: UserChanges, context: CallContext): Promise<User> => {
      reach(id, context)
      if (changes.role !== undefined && context.scope === 'own') throw fail('auth.forbidden')
      if (Object.keys(changes).length === 0) return get(id)
      const by = { vouched: vouches(id, context), reauthenticated: context.reauthenticated ?? false }
      const updated = await repository.update(id, changes, by, context, context.deadline)
      switch (updated.outcome) {
        case 'updated':
          return updated.user
        case 'not_found':
          throw fail('user.not_found', { id })
        case 'email_taken':
          throw fail('user.email_taken')
        case 'last_admin':
          throw fail('user.last_admin')
        case 'unproven':
          throw fail('auth.reauthentication_required')
        case 'unconfirmed':
          throw fail('user.email_unconfirmed')
        case 'contended':
          throw fail('database.busy')
      }
    },

    remove: async (id: number, context: CallContext): Promise<User> => {
      reach(id, context)
      if (!vouches(id, context)) assertReauthenticated(context)
      const removed = await repository.erase(id, newEvent(userContract, 'user.deleted', context, { fields: [] }))
      if (removed.outcome === 'unchanged')
        throw (await admins.isLast(id)) ? fail('user.last_admin') : fail('user.not_found', { id })
      await throttle.forget(removed.user.email)
      return removed.user
    },

    /** @throws user.not_found, auth.reauthentication_required, auth.mfa_not_enrolled */
    resetSecondFactor: async (id: number, reason: string, context: CallContext): Promise<void> => {
      await get(id)
      await secondFactor.reset(id, reason, context)
    },
  }
}
