import type { CallContext } from '../../../platform/context.ts'
import { newEvent } from '../../../platform/events/event.ts'
import { invalid } from '../../../platform/field-errors.ts'
import { newUuid } from '../../../platform/ids.ts'
import { rules } from '../../../platform/validation-messages.ts'
import { type User, userContract } from '../contract.ts'
import { fail } from '../errors.ts'
import type { PersonalData } from '../personal-data.ts'
import type { UserService } from '../service.ts'
import { confirmations, type NewUser, newUserFields } from '../user-row.sql.ts'
import { type Account, type AccountRepository, isConfirmed } from './account-repository.ts'
import { amrOf } from './family-repository.ts'
import { assertPassword } from './password-policy.ts'
import type { Passwords } from './passwords.ts'
import { assertReauthenticated } from './reauthentication.ts'
import type { SecondFactor } from './second-factor.ts'
import { newSecret } from './secrets.ts'
import type { SessionRepository } from './session-repository.ts'
import type { SignInThrottle } from './sign-in-throttle.ts'
import type { AccessToken, TokenIssuer, Tokens } from './tokens.ts'

export type Registration = 'open' | 'verify' | 'off'

export interface AccountsOptions {
  readonly repository: AccountRepository
  /** Creates the hash for people without a password. */
  readonly users: Pick<UserService, 'create'>
  readonly sessions: Pick<SessionRepository, 'prove'>
  readonly tokens: TokenIssuer
  readonly data: Pick<PersonalData, 'open' | 'openAddress'>
  readonly passwords: Passwords
  readonly secondFactor: SecondFactor
  readonly throttle: SignInThrottle
  readonly registration: Registration
}

export type Me = User & { pending_email?: string; mfa_enrolled: boolean }

export type Accounts = ReturnType<typeof createAccounts>

const passwordMissing = () => invalid([{ field: '/body/password', message: rules.required() }])

export const createAccounts = (options: AccountsOptions) => {
  const { repository, sessions, tokens, users, data, passwords, secondFactor, throttle, registration } = options

  /** The signed-in person. @throws auth.required, and auth.forbidden for an account of an external issuer */
  const myself = async ({ actor }: CallContext): Promise<Account> => {
    if (actor.type !== 'user') throw fail('auth.required')
    const id = Number(actor.id)
    const account = Number.isSafeInteger(id) ? await repository.byId(id) : undefined
    if (!account) throw fail('auth.forbidden')
    return account
  }

  /** The signed-in person, with a confirmed mailbox and a fresh step-up authentication. */
  const proven = async (context: CallContext): Promise<Account> => {
    assertReauthenticated(context)
    const account = await myself(context)
    if (!isConfirmed(account)) throw fail('user.email_unconfirmed')
    return account
  }

  /** Runs `work` for a person who proves their identity with their password, within the sign-in limits. */
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
    const activation = user.confirmed === false ? newEvent(userContract, 'user.activation_requested', context) : undefined
    const hash = await passwords.hash(password)
    const created = await repository.register(
      user,
      hash,
      newEvent(userContract, 'user.created', context, { fields: newUserFields }),
      activation,
    )
    if (created.outcome === 'email_taken') throw fail('user.email_taken')
    return created.user
  }

  return {
    /**
     * Creates an account with a password. A caller who is not signed in creates their own, with the role `user`.
     * @throws auth.forbidden, auth.registration_closed, auth.too_many_attempts, user.email_taken, auth.busy, and the errors of
     * `assertPassword`
     */
    create: async (user: NewUser, password: string | undefined, address: string, context: CallContext): Promise<User> => {
      const { role, scope, actor } = context
      const unlimited = role === 'admin' || (role === null && scope === 'all')
      if (!unlimited) {
        if (actor.type !== 'anonymous' || user.role !== 'user') throw fail('auth.forbidden')
        if (registration === 'off') throw fail('auth.registration_closed')
        if (password === undefined) throw passwordMissing()
        await assertPassword(password, user, 'password')
        // Each sends a mail to an unconfirmed address.
        await throttle.register(user.email, address)
        return insert(
          { ...user, status: registration === 'verify' ? 'unverified' : 'active', confirmed: false },
          password,
          context,
        )
      }
      if (password === undefined) return users.create(user, context)
      await assertPassword(password, user, 'password')
      return insert(user, password, context)
    },

    me: async (context: CallContext): Promise<Me> => {
      const account = await myself(context)
      const { id, role, locale, created_at, pending_email, factor_confirmed } = account
      const { name, email, phone } = data.open(account)
      const pending = pending_email === null ? {} : { pending_email: data.openAddress(account, pending_email) }
      const own = { ...confirmations(account), created_at, ...pending, mfa_enrolled: factor_confirmed }
      return { id, name, email, phone, role, locale, ...own }
    },

    /** Ends every session, including this one. @throws auth.invalid_credentials, auth.too_many_attempts, auth.busy */
    changePassword: (current: string, next: string, address: string, context: CallContext): Promise<void> =>
      withPassword(current, address, context, async (account) => {
        await assertPassword(next, data.open(account), 'new_password')
        const hash = await passwords.hash(next)
        const event = newEvent(userContract, 'user.password_changed', context)
        const { outcome } = await repository.changePassword(account, hash, event)
        if (outcome === 'overtaken') throw fail('auth.invalid_token')
      }),

    /**
     * A step-up token: its owner has just proven their identity. Sensitive changes need it. Requires the same proof as signing
     * in. @throws auth.invalid_credentials, auth.otp_required, auth.invalid_otp, auth.too_many_attempts, auth.busy
     */
    reauthenticate: (
      { password, otp }: { password: string; otp?: string },
      address: string,
      context: CallContext,
    ): Promise<AccessToken> =>
      withPassword(password, address, context, async (account) => {
        const { id: userId, session_version: sessionVersion, factor_confirmed } = account
        if (factor_confirmed && otp === undefined) throw fail('auth.otp_required')
        const proof = factor_confirmed ? await secondFactor.proofOf(account, otp as string) : undefined
        const event = newEvent(userContract, 'user.reauthenticated', context)
        const { outcome } = await sessions.prove({ userId, sessionVersion, proof, event })
        if (outcome === 'overtaken') throw fail(proof ? 'auth.invalid_otp' : 'auth.invalid_token')
        return tokens.reauthenticated({ userId, sessionVersion, amr: amrOf(factor_confirmed) })
      }),

    /** @throws auth.reauthentication_required, user.email_unconfirmed, auth.mfa_already_enrolled */
    enrolSecondFactor: async (context: CallContext) => secondFactor.enrol(await proven(context)),

    /**
     * Ends every session but this one, which continues with the returned tokens. @throws as `enrolSecondFactor`, auth.invalid_otp
     */
    confirmSecondFactor: async (
      code: string,
      address: string,
      context: CallContext,
    ): Promise<Tokens & { recovery_codes: string[] }> => {
      const account = await proven(context)
      return throttle.attempt(account.email_lookup, address, async () => {
        const { token, hash } = newSecret()
        const amr = amrOf(true)
        const family = { tokenHash: hash, family: newUuid(), amr }
        const { recoveryCodes, sessionVersion } = await secondFactor.confirm(account, code, family, context)
        const started = await tokens.signedIn({ userId: account.id, sessionVersion, amr }, token)
        return { recovery_codes: recoveryCodes, ...started }
      })
    },

    /** Ends every session. */
    removeSecondFactor: (password: string, code: string, address: string, context: CallContext): Promise<void> =>
      withPassword(password, address, context, (account) => secondFactor.remove(account, code, context)),
  }
}
