import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import { BrokenCircuitError, circuitBreaker, handleWhen, SamplingBreaker } from 'cockatiel'
import type { FastifyReply } from 'fastify'
import type { Dispatcher } from 'undici'
import type { Rejection } from '../../platform/auth/rejected-tokens.ts'
import { setDeadline } from '../../platform/concurrency/deadline.ts'
import { isNotSent } from '../../platform/connection-error.ts'
import { Failure, fail } from '../../platform/errors.ts'
import type { Remote } from '../../platform/module.ts'

type Done = (error: Error | null, answer?: Dispatcher.ResponseData) => void

export interface Forwarder {
  /** Sends one request. Has the signature of @fastify/reply-from's `undici` option. */
  readonly dispatcher: { request(options: Dispatcher.RequestOptions, done: Done): void }
  /**
   * Runs `send`; its request has this path and query. Aborts when the client disconnects, or when no response has begun by the
   * deadline.
   */
  bound<T>(path: string, reply: FastifyReply, send: () => T): T
  /** `<module>.unavailable`, or `upstream.unavailable` if the module has no such code. */
  unavailable(cause?: unknown): Failure
}

/** The client hung up: no one waits for the response. */
export const clientGone = new Error('the client disconnected')

/** A request that the HTTP client refuses to write is no failure of the upstream. */
const refusedHere = (error: unknown): boolean =>
  /^UND_ERR_(INVALID_ARG|NOT_SUPPORTED|REQ_CONTENT_LENGTH_MISMATCH)$/.test(String((error as { code?: string }).code))

const connectionFailed = (error: unknown): boolean =>
  error !== clientGone && !(error instanceof Failure) && !(error instanceof BrokenCircuitError) && !refusedHere(error)

/** Pause before the retry, ms: by then, the other connections to a stopping service are known to be closed. */
const pauseMs = 50

/**
 * Requests to one upstream. Retries a GET or HEAD once when its connection fails before a response (RFC 9112, 9.3.1). Retries a
 * write once only if no connection was established. Circuit breaker: when half of the requests of five seconds, and five or more,
 * could not connect, requests fail at once, until a trial request one second later succeeds. Errors: `<module>.unavailable`,
 * upstream.timeout, request.malformed, and the result of `rejection`.
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
    // Not consecutive failures: those of one stopping server come together, while other servers respond.
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
      // A body that is not read would keep its connection.
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
      const safe = /^(GET|HEAD)$/.test(options.method) || isNotSent(error)
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
            // A long response may take longer than the request deadline: from here on, its progress counts (bodyTimeout, the
            // client's reading).
            answered?.()
            // The plugin destroys the response of a client that disconnected. Without a listener, its error would end the
            // process.
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
      // The client may have disconnected during authentication.
      if (reply.raw.destroyed) hungUp()
      else reply.raw.once('close', hungUp)
      return asked.run({ path, signal: controller.signal, answered: () => clearTimeout(timer) }, run)
    },
  }
}
