import type { CallContext } from '../../../platform/context.ts'
import { fail } from '../../../platform/errors.ts'
import { newEvent } from '../../../platform/events/event.ts'
import { invalid } from '../../../platform/field-errors.ts'
import { rules } from '../../../platform/validation-messages.ts'
import type { MailPurpose, User } from '../contract.ts'
import type { PersonalData } from '../personal-data.ts'
import { confirmations, type NewUser } from '../rows-repository.ts'
import type { UserService } from '../service.ts'
import type { Account, AccountRepository } from './account-repository.ts'
import { assertPassword } from './password-policy.ts'
import type { Passwords } from './passwords.ts'
import type { SecondFactor } from './second-factor.ts'
import { hashOf, newSecret } from './secrets.ts'
import { actingAs } from './sessions.ts'
import type { SignInThrottle } from './sign-in-throttle.ts'

export type Registration = 'open' | 'verify' | 'off'

export interface AccountsOptions {
  readonly repository: AccountRepository
  /** Makes those who have no password yet. */
  readonly users: Pick<UserService, 'create'>
  readonly data: Pick<PersonalData, 'open'>
  readonly passwords: Passwords
  readonly secondFactor: SecondFactor
  readonly throttle: SignInThrottle
  readonly registration: Registration
  readonly nudge: () => void
}

export type Accounts = ReturnType<typeof createAccounts>

const passwordMissing = () => invalid([{ field: '/body/password', message: rules.required() }])

export const createAccounts = (options: AccountsOptions) => {
  const { repository, users, data, passwords, secondFactor, throttle, registration, nudge } = options

  /** The person who is signed in. @throws auth.required, and auth.forbidden for an account that is not of ours */
  const myself = async ({ actor }: CallContext): Promise<Account> => {
    if (actor.type !== 'user') throw fail('auth.required')
    const id = Number(actor.id)
    const account = Number.isSafeInteger(id) ? await repository.byId(id) : undefined
    if (!account) throw fail('auth.forbidden')
    return account
  }

  /** Runs `work` for a person who proves with their password that it is them, within the limits of signing in. */
  const withPassword = async <T>(
    password: string,
    address: string,
    context: CallContext,
    work: (account: Account) => Promise<T>,
  ): Promise<T> => {
    const account = await myself(context)
    return throttle.attempt(account.email_lookup, address, async () => {
      if (!(await passwords.matches(account.password_hash, password))) throw fail('auth.invalid_credentials')
      return work(account)
    })
  }

  const insert = async (user: NewUser, password: string, context: CallContext): Promise<User> => {
    await assertPassword(password, user, 'password')
    const activation = user.confirmed === false ? newEvent('user.activation_requested', context) : undefined
    const hash = await passwords.hash(password)
    const created = await repository.register(user, hash, newEvent('user.created', context), activation)
    if (!created) throw fail('user.email_taken')
    nudge()
    return created
  }

  return {
    /**
     * With a password; a caller who is not signed in makes an account of their own, with the role `user`.
     * @throws auth.forbidden, auth.registration_closed, user.email_taken, auth.busy, and what `assertPassword` throws
     */
    create: async (user: NewUser, password: string | undefined, context: CallContext): Promise<User> => {
      const { role, scope, actor } = context
      const unlimited = role === 'admin' || (role === null && scope === 'all')
      if (!unlimited) {
        if (actor.type !== 'anonymous' || user.role !== 'user') throw fail('auth.forbidden')
        if (registration === 'off') throw fail('auth.registration_closed')
        if (password === undefined) throw passwordMissing()
        return insert(
          { ...user, status: registration === 'verify' ? 'unverified' : 'active', confirmed: false },
          password,
          context,
        )
      }
      return password === undefined ? users.create(user, context) : insert(user, password, context)
    },

    me: async (context: CallContext): Promise<User & { mfa_enrolled: boolean }> => {
      const account = await myself(context)
      const { id, role, locale, created_at } = account
      const { name, email, phone } = data.open(account)
      const confirmed = confirmations(account)
      return { id, name, email, phone, role, locale, ...confirmed, created_at, mfa_enrolled: account.factor_confirmed }
    },

    /** Ends every sign-in, this one too. @throws auth.invalid_credentials, auth.too_many_attempts, auth.busy */
    changePassword: (current: string, next: string, address: string, context: CallContext): Promise<void> =>
      withPassword(current, address, context, async (account) => {
        await assertPassword(next, data.open(account), 'new_password')
        const hash = await passwords.hash(next)
        if (!(await repository.changePassword(account, hash, newEvent('user.password_changed', context))))
          throw fail('auth.invalid_token')
        nudge()
      }),

    /** Has a mail sent to whoever has this address; answers alike when nobody has it. */
    requestReset: async (email: string, address: string, context: CallContext): Promise<void> => {
      if (!(await throttle.mayMail(email, address))) return
      await repository.requestReset(email, newEvent('user.password_reset_requested', context))
      nudge()
    },

    /** @throws auth.invalid_mail_token, auth.busy */
    resetPassword: async (token: string, password: string, context: CallContext): Promise<void> => {
      const hash = hashOf(token)
      const account = await repository.byMailToken(hash, 'reset')
      if (!account) throw fail('auth.invalid_mail_token')
      await assertPassword(password, data.open(account), 'password')
      const self = actingAs(context, account.id)
      const events = [newEvent('user.password_changed', self), newEvent('user.email_confirmed', self)] as const
      if (!(await repository.reset(hash, await passwords.hash(password), ...events))) throw fail('auth.invalid_mail_token')
      nudge()
    },

    /** @throws auth.invalid_mail_token */
    activate: async (token: string, context: CallContext): Promise<void> => {
      const hash = hashOf(token)
      const account = await repository.byMailToken(hash, 'activation')
      const self = account && actingAs(context, account.id)
      if (!self || !(await repository.activate(hash, newEvent('user.activated', self), newEvent('user.email_confirmed', self))))
        throw fail('auth.invalid_mail_token')
      nudge()
    },

    /** A new token to be mailed; earlier ones are void. @throws user.not_found also for who needs none */
    issueMailToken: async (userId: number, purpose: MailPurpose): Promise<{ token: string }> => {
      const { token, hash } = newSecret()
      if (!(await repository.keepMailToken(userId, purpose, hash))) throw fail('user.not_found', { id: userId })
      return { token }
    },

    enrolSecondFactor: async (context: CallContext) => secondFactor.enrol(await myself(context)),

    confirmSecondFactor: async (code: string, address: string, context: CallContext): Promise<string[]> => {
      const account = await myself(context)
      return throttle.attempt(account.email_lookup, address, () => secondFactor.confirm(account, code, context))
    },

    removeSecondFactor: (password: string, code: string, address: string, context: CallContext): Promise<void> =>
      withPassword(password, address, context, (account) => secondFactor.remove(account, code, context)),
  }
}
