import type { IncomingHttpHeaders } from 'node:http'
import type { Logger } from 'pino'
import { type Failure, fail } from '../errors.ts'
import { now } from './clock.ts'

/**
 * Marks a 401 about the token of the calling service, not about the person. The caller converts it to a 503 for its own client;
 * the gateway never forwards it.
 */
export const rejectedHeader = 'x-orderhub-service-token'
export const rejectedValue = 'rejected'

type Headers = Readonly<Record<string, string | string[] | undefined>> | IncomingHttpHeaders

/** auth.service_token_rejected if this response of `audience` says that our own token was rejected. */
export type Rejection = (audience: string, headers: Headers) => Failure | undefined

const tellEveryMs = 10_000

/** Seconds by which our clock is ahead of the one in the response (RFC 9110, 6.6.1); it counts whole seconds. */
export const skewOf = (date: unknown): number | undefined => {
  const theirs = Date.parse(String(date))
  return Number.isNaN(theirs) ? undefined : Math.round((now() - theirs) / 1000)
}

/** Counts each rejection, and logs one per audience every ten seconds, with the clock difference. */
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
