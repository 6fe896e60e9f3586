import type { IncomingHttpHeaders } from 'node:http'
import type { Logger } from 'pino'
import { type Failure, fail } from '../errors.ts'
import { now } from './clock.ts'

/**
 * On a 401 that is about the token of the service that calls, not about whom it speaks for. The caller turns it into a 503
 * for its own client; it never leaves by the gateway.
 */
export const rejectedHeader = 'x-orderhub-service-token'
export const rejectedValue = 'rejected'

type Headers = Readonly<Record<string, string | string[] | undefined>> | IncomingHttpHeaders

/** auth.service_token_rejected when this answer of `audience` says that our own token was refused. */
export type Rejection = (audience: string, headers: Headers) => Failure | undefined

const tellEveryMs = 10_000

/** Seconds by which our clock is ahead of the one that wrote the answer (RFC 9110, 6.6.1); it counts whole seconds. */
export const skewOf = (date: unknown): number | undefined => {
  const theirs = Date.parse(String(date))
  return Number.isNaN(theirs) ? undefined : Math.round((now() - theirs) / 1000)
}

/** Counts each rejection, and logs one of each audience every ten seconds, with how far the two clocks differ. */
export const createRejection = ({ log, count }: { log: Pick<Logger, 'error'>; count: () => void }): Rejection => {
  const toldAt = new Map<string, number>()
  return (audience, headers) => {
    if (headers[rejectedHeader] !== rejectedValue) return undefined
    count()
    const at = performance.now()
    if (at - (toldAt.get(audience) ?? Number.NEGATIVE_INFINITY) >= tellEveryMs) {
      toldAt.set(audience, at)
      log.error({ audience, skew_seconds: skewOf(headers.date) }, 'another service rejected the token of this service')
    }
    return fail('auth.service_token_rejected')
  }
}
