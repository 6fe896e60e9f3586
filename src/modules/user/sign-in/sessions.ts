import type { CallContext } from '../../../platform/context.ts'
import { newEvent } from '../../../platform/events/event.ts'
import { newUuid } from '../../../platform/ids.ts'
import { userContract } from '../contract.ts'
import { fail } from '../errors.ts'
import type { AccountRepository } from './account-repository.ts'
import { amrOf } from './family-repository.ts'
import type { Passwords } from './passwords.ts'
import type { SecondFactor } from './second-factor.ts'
import { hashOf, newSecret } from './secrets.ts'
import type { SessionRepository } from './session-repository.ts'
import type { SignInThrottle } from './sign-in-throttle.ts'
import type { TokenIssuer, Tokens } from './tokens.ts'

export interface Credentials {
  readonly email: string
  readonly password: string
  /** A code of the second factor, or a recovery code. */
  readonly otp?: string
}

export interface SessionsOptions {
  readonly repository: SessionRepository
  readonly accounts: Pick<AccountRepository, 'byEmail'>
  readonly passwords: Pick<Passwords, 'matches' | 'signInBulkhead'>
  readonly secondFactor: Pick<SecondFactor, 'proofOf'>
  readonly throttle: SignInThrottle
  readonly tokens: TokenIssuer
}

export type Sessions = ReturnType<typeof createSessions>

/** The context of an event that a person causes by proving their identity, if the request does not have it. */
export const actingAs = (context: CallContext, userId: number): CallContext => ({
  ...context,
  actor: { type: 'user', id: String(userId) },
})

export const createSessions = ({ repository, accounts, passwords, secondFactor, throttle, tokens }: SessionsOptions) => {
  const signIn = async ({ email, password, otp }: Credentials, context: CallContext): Promise<Tokens> => {
    const account = await accounts.byEmail(email)
    const right = await passwords.matches(account?.password_hash ?? null, password)
    if (!account || !right) throw fail('auth.invalid_credentials')
    if (account.status === 'unverified') throw fail('auth.not_activated')
    if (account.factor_confirmed && otp === undefined) throw fail('auth.otp_required')
    const proof = account.factor_confirmed ? await secondFactor.proofOf(account, otp as string) : undefined
    const { token, hash } = newSecret()
    const amr = amrOf(proof !== undefined)
    const { outcome } = await repository.signIn({
      userId: account.id,
      sessionVersion: account.session_version,
      proof,
      tokenHash: hash,
      family: newUuid(),
      amr,
      event: newEvent(userContract, 'user.signed_in', actingAs(context, account.id)),
    })
    if (outcome === 'overtaken') throw fail(proof ? 'auth.invalid_otp' : 'auth.invalid_credentials')
    return tokens.signedIn({ userId: account.id, sessionVersion: account.session_version, amr }, token)
  }

  return {
    /**
     * @throws auth.invalid_credentials, auth.otp_required, auth.invalid_otp, auth.not_activated, auth.too_many_attempts,
     * auth.busy. Except for the first two, unknown addresses get the same errors: nothing reveals whether an account exists.
     */
    signIn: (credentials: Credentials, address: string, context: CallContext): Promise<Tokens> =>
      passwords.signInBulkhead(() =>
        throttle.attempt(throttle.keyOf(credentials.email), address, () => signIn(credentials, context)),
      ),

    /** @throws auth.invalid_token for a token that is unknown, used, revoked or expired, or whose person has changed */
    refresh: async (refreshToken: string, context: CallContext): Promise<Tokens> => {
      const { token, hash } = newSecret()
      const refreshed = await repository.refresh(
        hashOf(refreshToken),
        hash,
        newEvent(userContract, 'user.refresh_reuse_detected', context),
      )
      if (refreshed.outcome !== 'refreshed') throw fail('auth.invalid_token')
      const { user_id, session_version, amr } = refreshed
      return tokens.signedIn({ userId: user_id, sessionVersion: session_version, amr: amr.split(' ') }, token)
    },

    /** Ends the session of the token; an invalid token is no error (RFC 7009, 2.2). */
    signOut: async (refreshToken: string, context: CallContext): Promise<void> => {
      await repository.signOut(hashOf(refreshToken), newEvent(userContract, 'user.signed_out', context))
    },
  }
}
