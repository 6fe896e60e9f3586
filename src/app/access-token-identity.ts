import type { Logger } from 'pino'
import { type Session, userContract } from '../modules/user/contract.ts'
import { createAccessTokenVerifier } from '../platform/auth/access-tokens.ts'
import type { AuthenticateOptions, Identity } from '../platform/auth/authenticate.ts'
import type { Oidc } from '../platform/auth/oidc.ts'
import { createSessionMemory } from '../platform/auth/session-memory.ts'
import { within } from '../platform/concurrency/deadline.ts'
import type { CallContext } from '../platform/context.ts'
import { coalesce } from '../platform/db/batch-loader.ts'
import { Failure, fail } from '../platform/errors.ts'
import type { KeyStore } from '../platform/keys/key-store.ts'
import { unavailable } from '../platform/rpc/client.ts'

export interface IdentityOptions {
  readonly keys: KeyStore
  /** Asks the user module, or undefined where it cannot be reached: then only services' tokens are accepted. */
  readonly sessions: ((input: { ids: number[] }, context: CallContext) => Promise<Session[]>) | undefined
  /** Whose tokens are accepted beside our own. */
  readonly oidc: Oidc | undefined
  /** For how long after an answer a session serves for reads when there is none (docs/adr/0033); 0 for not at all. */
  readonly staleMs: number
  /** A read was let in by a session known from before. */
  readonly onStale: () => void
  readonly log: Pick<Logger, 'warn'>
}

/** How long a read that could go on without an answer waits for one: at first, and once one has failed to come. */
const patienceMs = { first: 1000, away: 200 } as const

const isAway = (error: unknown): boolean =>
  error instanceof Failure && (error.code === 'user.unavailable' || error.code === 'auth.service_token_rejected')

/** Tells once when reads begin to go on with sessions known from before, and once when there are answers again. */
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

/** It is this sign-in that must have used the second factor, and not the account that must have one. */
const mfaMissing = ({ mfa_satisfied, mfa_required }: Session, amr: readonly string[]): Identity['mfaMissing'] => {
  if (!mfa_satisfied) return 'enrolment'
  return mfa_required && !amr.includes('otp') ? 'sign-in' : undefined
}

/**
 * Who a person's access token stands for as of now: each request asks, so that a change of role or a deletion holds at
 * once. Requests that come together ask together. A read of somebody whose session was good a moment ago goes on while the
 * user module does not answer.
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
      return await within(outage.away() ? patienceMs.away : patienceMs.first, answer, () => unavailable(userContract))
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
