import type { Session } from './modules/user/contract.ts'
import { createAccessTokenVerifier } from './platform/auth/access-tokens.ts'
import type { AuthenticateOptions, Identity } from './platform/auth/authenticate.ts'
import type { Oidc } from './platform/auth/oidc.ts'
import { coalesce } from './platform/coalesce.ts'
import type { CallContext } from './platform/context.ts'
import { fail } from './platform/errors.ts'
import type { KeyStore } from './platform/keys/key-store.ts'

export interface IdentityOptions {
  readonly keys: KeyStore
  /** Asks the user module, or undefined where it cannot be reached: then only services' tokens are accepted. */
  readonly sessions: ((input: { ids: number[] }, context: CallContext) => Promise<Session[]>) | undefined
  /** Whose tokens are accepted beside our own. */
  readonly oidc: Oidc | undefined
}

/**
 * Who a person's access token stands for as of now: each request asks, so that a change of role or a deletion holds at
 * once. Requests that come together ask together.
 */
export const createIdentify = ({ keys, sessions, oidc }: IdentityOptions): AuthenticateOptions['identify'] => {
  const ask =
    sessions &&
    coalesce<{ id: number; context: CallContext }, Session | undefined>(
      async (asked) => {
        const context = asked.reduce(
          (latest, { context }) => (context.deadline > latest.deadline ? context : latest),
          (asked[0] as (typeof asked)[0]).context,
        )
        const found = await sessions({ ids: [...new Set(asked.map(({ id }) => id))] }, context)
        const byId = new Map(found.map((session) => [session.id, session]))
        return asked.map(({ id }) => byId.get(id))
      },
      { max: 100, lanes: 16 },
    )
  const verify = createAccessTokenVerifier(keys)
  return async (token, context): Promise<Identity> => {
    if (oidc?.issued(token)) return oidc.identify(token)
    if (!ask) throw fail('auth.invalid_token')
    const { userId, sessionVersion } = await verify(token)
    const session = await ask({ id: userId, context })
    if (!session || session.session_version !== sessionVersion) throw fail('auth.invalid_token')
    return { actor: { type: 'user', id: String(userId) }, role: session.role, mfaSatisfied: session.mfa_satisfied }
  }
}
