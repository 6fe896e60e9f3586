import type { CallContext } from '../../../platform/context.ts'
import { newEvent } from '../../../platform/events/event.ts'
import { type MailRequestPurpose, userContract } from '../contract.ts'
import { fail } from '../errors.ts'
import type { PersonalData } from '../personal-data.ts'
import { type Account, isConfirmed } from './account-repository.ts'
import type { MailTokenRepository } from './mail-token-repository.ts'
import { assertPassword } from './password-policy.ts'
import type { Passwords } from './passwords.ts'
import { hashOf, newSecret } from './secrets.ts'
import { actingAs } from './sessions.ts'
import type { SignInThrottle } from './sign-in-throttle.ts'

export interface MailboxOptions {
  readonly repository: MailTokenRepository
  readonly data: Pick<PersonalData, 'open' | 'openAddress'>
  readonly passwords: Pick<Passwords, 'hash' | 'matches'>
  readonly throttle: Pick<SignInThrottle, 'attempt' | 'mayMail'>
}

export interface IssuedMail {
  readonly user_id: number
  readonly purpose: MailRequestPurpose
  readonly email: string
  readonly token: string | null
}

/** Retries of a reset when the person changes at the same time. */
const resetTries = 5

export type Mailbox = ReturnType<typeof createMailbox>

/** Confirms mailboxes with mailed tokens. */
export const createMailbox = ({ repository, data, passwords, throttle }: MailboxOptions) => {
  const prove = async (account: Account, hash: Buffer, context: CallContext): Promise<void> => {
    const self = actingAs(context, account.id)
    const { outcome } = isConfirmed(account)
      ? await repository.changeAddress(account, hash, newEvent(userContract, 'user.email_changed', self))
      : await repository.activate(
          account,
          hash,
          newEvent(userContract, 'user.activated', self),
          newEvent(userContract, 'user.email_confirmed', self),
        )
    if (outcome === 'email_taken') throw fail('user.email_taken')
    if (outcome === 'too_late') throw fail('auth.invalid_mail_token')
  }

  return {
    /** Sends a mail to the person with this address; returns the same if there is none. */
    requestReset: async (email: string, address: string, context: CallContext): Promise<void> => {
      if (!(await throttle.mayMail(email, address))) return
      await repository.requestReset(email, newEvent(userContract, 'user.password_reset_requested', context))
    },

    /** @throws auth.invalid_mail_token, auth.busy */
    resetPassword: async (token: string, password: string, context: CallContext): Promise<void> => {
      const hash = hashOf(token)
      const find = async () => {
        const account = await repository.owner(hash, 'reset')
        if (!account) throw fail('auth.invalid_mail_token')
        return account
      }
      let account = await find()
      await assertPassword(password, data.open(account), 'password')
      const passwordHash = await passwords.hash(password)
      for (let n = 0; n < resetTries; n++) {
        const self = actingAs(context, account.id)
        const events = [
          newEvent(userContract, 'user.password_changed', self),
          newEvent(userContract, 'user.email_confirmed', self),
        ] as const
        const { outcome } = await repository.reset(account, hash, passwordHash, ...events)
        if (outcome === 'reset') return
        account = await find()
      }
      throw fail('database.busy')
    },

    /**
     * Confirms the address of a new account, or a new address. Also requires the account's password: a person who registers with
     * another person's address must not get it because its owner follows the link (docs/adr/0044).
     * @throws auth.invalid_mail_token, auth.invalid_credentials, user.email_taken, auth.too_many_attempts, auth.busy
     */
    confirm: async (token: string, password: string, address: string, context: CallContext): Promise<void> => {
      const hash = hashOf(token)
      const account = await repository.owner(hash, 'activation', 'email_change')
      if (!account) throw fail('auth.invalid_mail_token')
      await throttle.attempt(account.email_lookup, address, async () => {
        if (!(await passwords.matches(account.password_hash, password))) throw fail('auth.invalid_credentials')
        await prove(account, hash, context)
      })
    },

    /** For the mail that this event asked for. @throws user.not_found if none did, or the person no longer needs one */
    issueToken: async (eventId: string): Promise<IssuedMail> => {
      const { token, hash } = newSecret()
      const kept = await repository.keep(eventId, hash)
      if (kept.outcome === 'not_requested') throw fail('user.not_found', { event_id: eventId })
      const { request } = kept
      const { id, purpose, address } = request
      const email = address === null ? data.open(request).email : data.openAddress(request, address)
      return { user_id: id, purpose, email, token: purpose === 'email_changed' ? null : token }
    },
  }
}
