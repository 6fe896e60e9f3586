import type { Logger } from 'pino'
import { type Session, userContract } from '../modules/user/contract.ts'
import { createAccessTokenVerifier } from '../platform/auth/access-tokens.ts'
import type { AuthenticateOptions, Identity } from '../platform/auth/authenticate.ts'
import type { Oidc } from '../platform/auth/oidc.ts'
import { createSessionMemory } from '../platform/auth/session-memory.ts'
import { withTimeout } from '../platform/concurrency/deadline.ts'
import type { CallContext } from '../platform/context.ts'
import { coalesce } from '../platform/db/batch-loader.ts'
import { Failure, fail } from '../platform/errors.ts'
import type { KeyStore } from '../platform/keys/key-store.ts'
import { unavailable } from '../platform/rpc/client.ts'

export interface IdentityOptions {
  readonly keys: KeyStore
  /** The user module's client, or undefined if it cannot be reached: then only services' tokens are accepted. */
  readonly sessions: ((input: { ids: number[] }, context: CallContext) => Promise<Session[]>) | undefined
  /** An external issuer whose tokens are accepted too. */
  readonly oidc: Oidc | undefined
  /** How long reads may use a cached session while the user module does not respond (docs/adr/0033); 0 turns it off. */
  readonly staleMs: number
  /** Called when a read used a cached session. */
  readonly onStale: () => void
  readonly log: Pick<Logger, 'warn'>
}

/** How long a read that could use the cache waits for a response: at first, and after one failed to come. */
const patienceMs = { first: 1000, away: 200 } as const

const isAway = (error: unknown): boolean =>
  error instanceof Failure && (error.code === 'user.unavailable' || error.code === 'auth.service_token_rejected')

/** Logs once when reads begin to use cached sessions, and once when the user module responds again. */
const createOutage = ({ staleMs, onStale, log }: Pick<IdentityOptions, 'staleMs' | 'onStale' | 'log'>) => {
  let away = false
  let accepted = 0
  return {
    away: () => away,
    failed: () => {
      away = true
    },
    answered: () => {
      if (accepted > 0) log.warn({ accepted }, 'the user service responds again: sessions are checked for each request')
      away = false
      accepted = 0
    },
    accepted: () => {
      onStale()
      if (accepted === 0)
        log.warn({ stale_seconds: staleMs / 1000 }, 'the user service does not respond: reads continue with cached sessions')
      accepted += 1
    },
  }
}

/** This session must have used the second factor; it is not enough that the account has one. */
const mfaMissing = ({ mfa_satisfied, mfa_required }: Session, amr: readonly string[]): Identity['mfaMissing'] => {
  if (!mfa_satisfied) return 'enrolment'
  return mfa_required && !amr.includes('otp') ? 'sign-in' : undefined
}

/**
 * The current identity behind a person's access token. Each request checks the session, so that a change of role or a deletion
 * takes effect at once. Concurrent requests share one query. A read with a session that was valid a moment ago continues while
 * the user module does not respond.
 */
export const createIdentify = (options: IdentityOptions): AuthenticateOptions['identify'] => {
  const { keys, sessions, oidc, staleMs } = options
  const memory = createSessionMemory<Session>({ freshMs: staleMs })
  const outage = createOutage(options)

  const ask =
    sessions &&
    coalesce<{ id: number; context: CallContext }, Session | undefined>(
      async (asked) => {
        const context = asked.reduce(
          (latest, { context }) => (context.deadline > latest.deadline ? context : latest),
          (asked[0] as (typeof asked)[0]).context,
        )
        const ids = [...new Set(asked.map(({ id }) => id))]
        const askedAt = performance.now()
        const found = await sessions({ ids }, context).catch((error) => {
          if (isAway(error)) outage.failed()
          throw error
        })
        outage.answered()
        const byId = new Map(found.map((session) => [session.id, session]))
        if (staleMs > 0) for (const id of ids) memory.note(id, byId.get(id), askedAt)
        return asked.map(({ id }) => byId.get(id))
      },
      { max: 100, lanes: 16 },
    )

  const sessionOf = async (id: number, version: number, context: CallContext, mayBeStale: boolean) => {
    if (!ask) throw fail('auth.invalid_token')
    const answer = ask({ id, context })
    if (!mayBeStale || !memory.recall(id, version)) return answer
    try {
      return await withTimeout(outage.away() ? patienceMs.away : patienceMs.first, answer, () => unavailable(userContract))
    } catch (error) {
      const known = isAway(error) ? memory.recall(id, version) : undefined
      if (!known) throw error
      outage.failed()
      outage.accepted()
      return known
    }
  }

  const verify = createAccessTokenVerifier(keys)
  return async (token, context, mayBeStale): Promise<Identity> => {
    if (oidc?.issued(token)) return oidc.identify(token)
    if (!ask) throw fail('auth.invalid_token')
    const { userId, sessionVersion, amr, reauthenticated } = await verify(token)
    const session = await sessionOf(userId, sessionVersion, context, mayBeStale)
    if (!session || session.session_version !== sessionVersion) throw fail('auth.invalid_token')
    return {
      actor: { type: 'user', id: String(userId) },
      role: session.role,
      mfaMissing: mfaMissing(session, amr),
      reauthenticated,
    }
  }
}
