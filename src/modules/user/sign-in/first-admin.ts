import { randomBytes } from 'node:crypto'
import { type EventContext, newEvent } from '../../../platform/events/event.ts'
import type { FirstSignIn } from '../../../platform/module.ts'
import { forms } from '../../../platform/normal-form.ts'
import { userContract } from '../contract.ts'
import type { AdminRepository } from './admin-repository.ts'
import { assertPassword } from './password-policy.ts'
import type { Passwords } from './passwords.ts'

const madeUpAddress = 'admin@orderhub.example'

const newPassword = (): string => randomBytes(15).toString('base64url')

export interface FirstAdminOptions {
  readonly repository: AdminRepository
  readonly passwords: Pick<Passwords, 'hash'>
  /** The configured administrator. */
  readonly configured: { readonly email: string; readonly password: string } | undefined
}

/**
 * Ensures that an administrator can sign in, if one is configured or, with `generate`, if there is none: then the password is
 * generated, and returned once. @returns undefined if nobody can sign in as administrator
 * @throws as `assertPassword`, for the configured password when it would be set
 */
export const createFirstAdmin =
  ({ repository, passwords, configured }: FirstAdminOptions) =>
  async (generate: boolean, context: EventContext): Promise<FirstSignIn | undefined> => {
    const found = await repository.first()
    if (found?.hasPassword) return { email: found.email, password: undefined }
    if (!configured && !generate) return undefined
    const email = forms.email.normal(configured?.email ?? found?.email ?? madeUpAddress)
    if (configured) await assertPassword(configured.password, { name: '', email }, 'password')
    const password = configured?.password ?? newPassword()
    const { outcome } = await repository.install(
      email,
      await passwords.hash(password),
      newEvent(userContract, 'user.updated', context, { fields: ['role', 'password'] }),
    )
    return { email, password: outcome === 'installed' && !configured ? password : undefined }
  }

/** Recovers from a lost password: needs only the database and the keys. @returns undefined if there is no such administrator */
export const createResetAdmin =
  ({ repository, passwords }: Omit<FirstAdminOptions, 'configured'>) =>
  async (email: string | undefined, context: EventContext): Promise<FirstSignIn | undefined> => {
    const password = newPassword()
    const event = newEvent(userContract, 'user.password_changed', context)
    const reset = await repository.resetPassword(
      email === undefined ? undefined : forms.email.normal(email),
      await passwords.hash(password),
      event,
    )
    return reset.outcome === 'reset' ? { email: reset.email, password } : undefined
  }
