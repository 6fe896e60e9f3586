import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import { BrokenCircuitError, circuitBreaker, handleWhen, SamplingBreaker } from 'cockatiel'
import type { FastifyReply } from 'fastify'
import type { Dispatcher } from 'undici'
import type { Rejection } from '../../platform/auth/rejected-tokens.ts'
import { setDeadline } from '../../platform/concurrency/deadline.ts'
import { Failure, fail } from '../../platform/errors.ts'
import type { Remote } from '../../platform/module.ts'

type Done = (error: Error | null, answer?: Dispatcher.ResponseData) => void

export interface Forwarder {
  /** Sends one request; in the shape that @fastify/reply-from takes for its `undici` option. */
  readonly dispatcher: { request(options: Dispatcher.RequestOptions, done: Done): void }
  /** Runs `send`; the request that it makes has this path and query. It ends with the client that asked, or where no answer has begun by the deadline. */
  bound<T>(path: string, reply: FastifyReply, send: () => T): T
  /** `<module>.unavailable`, or `upstream.unavailable` where the module has no code of its own. */
  unavailable(cause?: unknown): Failure
}

/** The client hung up: nobody waits for an answer. */
export const clientGone = new Error('the client has gone')

/** A request that the HTTP client refuses to write says nothing about the upstream. */
const refusedHere = (error: unknown): boolean =>
  /^UND_ERR_(INVALID_ARG|NOT_SUPPORTED|REQ_CONTENT_LENGTH_MISMATCH)$/.test(String((error as { code?: string }).code))

const connectionFailed = (error: unknown): boolean =>
  error !== clientGone && !(error instanceof Failure) && !(error instanceof BrokenCircuitError) && !refusedHere(error)

/** No connection came about, so nothing was sent on it. */
const neverSent = (error: unknown): boolean =>
  /^(UND_ERR_CONNECT_TIMEOUT|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH)$/.test(String((error as { code?: string }).code))

/** Before a second try, ms: by then the other connections to a service that stops are known to be closed. */
const pauseMs = 50

/**
 * Requests to one upstream. A GET or HEAD whose connection fails before an answer is sent once more (RFC 9112, 9.3.1); what
 * may change something never is, but it is tried once more where no connection came about. When half of the requests of five
 * seconds, and at least five, had no connection, they fail at once, until one tried a second later gets through (circuit
 * breaker). Errors: `<module>.unavailable`, upstream.timeout, request.malformed, and what `rejection` makes of an answer.
 */
export const createForwarder = (
  { upstream, unavailable }: Pick<Remote, 'upstream' | 'unavailable'>,
  dispatcher: Dispatcher,
  timeoutMs: number,
  rejection: Rejection = () => undefined,
): Forwarder => {
  const asked = new AsyncLocalStorage<{ readonly path: string; readonly signal: AbortSignal; readonly answered: () => void }>()
  const breaker = circuitBreaker(handleWhen(connectionFailed), {
    halfOpenAfter: 1000,
    // Not failures in a row: those of one server that stops come together, while others answer.
    breaker: new SamplingBreaker({ threshold: 0.5, duration: 5000, minimumRps: 1 }),
  })

  const asFailure = (error: unknown): Error => {
    if (error === clientGone || error instanceof Failure) return error as Error
    return refusedHere(error) ? fail('request.malformed', {}, error) : unavailable(error)
  }

  const sendOnce = async (options: Dispatcher.RequestOptions, signal: AbortSignal | undefined) => {
    try {
      const answer = await dispatcher.request({ ...options, ...(signal ? { signal } : {}) })
      upstream.reportAnswer(String(options.origin), answer.statusCode, answer.headers)
      const rejected = rejection(upstream.name, answer.headers)
      if (!rejected) return answer
      // A body that nobody reads would keep its connection.
      await answer.body.dump()
      throw rejected
    } catch (error) {
      if (connectionFailed(error)) upstream.reportFailure(String(options.origin))
      throw error
    }
  }

  const send = async (options: Dispatcher.RequestOptions, signal: AbortSignal | undefined) => {
    try {
      return await sendOnce(options, signal)
    } catch (error) {
      const safe = /^(GET|HEAD)$/.test(options.method) || neverSent(error)
      if (!safe || !connectionFailed(error) || signal?.aborted) throw error
      await wait(pauseMs)
      const origin = upstream.pick()
      if (origin === undefined) throw error
      const headers = { ...(options.headers as Record<string, string>), host: new URL(origin).host }
      return sendOnce({ ...options, origin, headers }, signal)
    }
  }

  /** Rejects on abort, also for a request that still waits for the breaker's trial. */
  const untilAborted = <T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> => {
    if (!signal) return work
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    work.then(resolve, reject)
    return promise
  }

  return {
    unavailable,
    dispatcher: {
      request: (options, done) => {
        const { path = options.path, signal, answered } = asked.getStore() ?? {}
        if (signal?.aborted) return done(asFailure(signal.reason))
        untilAborted(
          breaker.execute(() => send({ ...options, path }, signal)),
          signal,
        )
          .then((answer) => {
            // A long answer may take longer than a request: from here on its progress counts (bodyTimeout, the client's reading).
            answered?.()
            // The plugin destroys an answer that nobody waits for; an error without a listener would end the process.
            answer.body.on('error', () => {})
            done(null, answer)
          })
          .catch((error) => done(asFailure(error)))
      },
    },
    bound: (path, reply, run) => {
      const controller = new AbortController()
      const timer = setDeadline(timeoutMs, () => controller.abort(fail('upstream.timeout')))
      const hungUp = () => {
        clearTimeout(timer)
        controller.abort(clientGone)
      }
      // It may have been while the client was authenticated.
      if (reply.raw.destroyed) hungUp()
      else reply.raw.once('close', hungUp)
      return asked.run({ path, signal: controller.signal, answered: () => clearTimeout(timer) }, run)
    },
  }
}
