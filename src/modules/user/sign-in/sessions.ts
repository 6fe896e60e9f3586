import { issueAccessToken } from '../../../platform/auth/access-tokens.ts'
import type { CallContext } from '../../../platform/context.ts'
import { fail } from '../../../platform/errors.ts'
import { newEvent } from '../../../platform/events/event.ts'
import { newUuid } from '../../../platform/ids.ts'
import type { KeyStore } from '../../../platform/keys/key-store.ts'
import type { AccountRepository } from './account-repository.ts'
import type { Passwords } from './passwords.ts'
import type { SecondFactor } from './second-factor.ts'
import { hashOf, newSecret } from './secrets.ts'
import type { SessionRepository } from './session-repository.ts'
import type { SignInThrottle } from './sign-in-throttle.ts'

export interface Tokens {
  readonly access_token: string
  readonly token_type: 'Bearer'
  /** Seconds. */
  readonly expires_in: number
  readonly refresh_token: string
}

export interface Credentials {
  readonly email: string
  readonly password: string
  /** A code of the second factor, or a recovery code. */
  readonly otp?: string
}

export interface SessionsOptions {
  readonly repository: SessionRepository
  readonly accounts: Pick<AccountRepository, 'byEmail'>
  readonly passwords: Pick<Passwords, 'matches' | 'oneOfCrowd'>
  readonly secondFactor: Pick<SecondFactor, 'proofOf'>
  readonly throttle: SignInThrottle
  readonly keys: KeyStore
  readonly nudge: () => void
}

export type Sessions = ReturnType<typeof createSessions>

/** Of an event that a person causes by proving who they are, where the request itself does not say so. */
export const actingAs = (context: CallContext, userId: number): CallContext => ({
  ...context,
  actor: { type: 'user', id: String(userId) },
})

export const createSessions = ({ repository, accounts, passwords, secondFactor, throttle, keys, nudge }: SessionsOptions) => {
  const tokensFor = async (userId: number, sessionVersion: number, refreshToken: string): Promise<Tokens> => {
    const { token, expiresIn } = await issueAccessToken(keys, { userId, sessionVersion })
    return { access_token: token, token_type: 'Bearer', expires_in: expiresIn, refresh_token: refreshToken }
  }

  const signIn = async ({ email, password, otp }: Credentials, context: CallContext): Promise<Tokens> => {
    const account = await accounts.byEmail(email)
    const right = await passwords.matches(account?.password_hash ?? null, password)
    if (!account || !right) throw fail('auth.invalid_credentials')
    if (account.status === 'unverified') throw fail('auth.not_activated')
    if (account.factor_confirmed && otp === undefined) throw fail('auth.otp_required')
    const proof = account.factor_confirmed ? await secondFactor.proofOf(account, otp as string) : undefined
    const { token, hash } = newSecret()
    const signedIn = await repository.signIn({
      userId: account.id,
      sessionVersion: account.session_version,
      proof,
      tokenHash: hash,
      family: newUuid(),
      event: newEvent('user.signed_in', actingAs(context, account.id)),
    })
    if (!signedIn) throw fail(proof ? 'auth.invalid_otp' : 'auth.invalid_credentials')
    nudge()
    return tokensFor(account.id, account.session_version, token)
  }

  return {
    /**
     * @throws auth.invalid_credentials, auth.otp_required, auth.invalid_otp, auth.not_activated, auth.too_many_attempts,
     * auth.busy. All but the first two of an unknown address too: nothing tells whether there is such an account.
     */
    signIn: (credentials: Credentials, address: string, context: CallContext): Promise<Tokens> =>
      passwords.oneOfCrowd(() =>
        throttle.attempt(throttle.keyOf(credentials.email), address, () => signIn(credentials, context)),
      ),

    /** @throws auth.invalid_token for a token that is unknown, used, revoked or too old, or whose person has changed */
    refresh: async (refreshToken: string, context: CallContext): Promise<Tokens> => {
      const { token, hash } = newSecret()
      const refreshed = await repository.refresh(hashOf(refreshToken), hash, newEvent('user.refresh_reuse_detected', context))
      if (refreshed === 'reused') nudge()
      if (refreshed === undefined || refreshed === 'reused') throw fail('auth.invalid_token')
      return tokensFor(refreshed.user_id, refreshed.session_version, token)
    },

    /** Ends the sign-in that the token belongs to; a token that is worth nothing is no error (RFC 7009, 2.2). */
    signOut: async (refreshToken: string, context: CallContext): Promise<void> => {
      if (await repository.signOut(hashOf(refreshToken), newEvent('user.signed_out', context))) nudge()
    },
  }
}
