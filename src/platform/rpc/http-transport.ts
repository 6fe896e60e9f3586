import { circuitBreaker, handleWhen, SamplingBreaker } from 'cockatiel'
import type { FastifyInstance } from 'fastify'
import type { Dispatcher } from 'undici'
import type { ServiceTokens } from '../auth/service-tokens.ts'
import { abortAfter } from '../concurrency/deadline.ts'
import { type CallContext, traceHeaders } from '../context.ts'
import type { Api, Contract } from '../contract.ts'
import { Failure, failureOf } from '../errors.ts'
import { parse } from '../schema.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { Transport } from './client.ts'

/** Milliseconds that the caller still waits; the gateway removes it from client requests. */
const deadlineHeader = 'x-orderhub-deadline-ms'

/** Bytes: hundreds of entries for the audit trail in one call. */
const internalBodyLimit = 1024 * 1024
/** JSON values: lists of hundreds of rows. */
const mostValues = 50_000

interface Answer {
  readonly status: number
  readonly body: unknown
  /** Of this service's own token. */
  readonly rejected: Failure | undefined
}

/**
 * The other side's error as the original error value; undefined if the response is not in our format. A 401 is about this service
 * and not about its client: for the client, the other side is unavailable.
 */
const refusal = ({ status, body }: Answer, { errors }: Contract): Failure | undefined => {
  if (status < 400 || status === 401 || status >= 500 || typeof body !== 'object' || body === null) return undefined
  const { code, type, title, status: _status, detail, success, trace_id, instance, ...details } = body as Record<string, unknown>
  return failureOf(errors, code, details)
}

export interface RemoteOptions {
  readonly contract: Contract
  readonly upstream: Upstream
  readonly dispatcher: Dispatcher
  /** Authenticates the caller and names the person; undefined without authentication (AUTH=off). */
  readonly tokens: ServiceTokens | undefined
}

/**
 * Calls over HTTP: POST /internal/<module>/<op> with the input as JSON. An idempotent operation is retried once if there was no
 * response. Circuit breaker: when half of the calls of five seconds failed, calls fail at once for a second. It does not count
 * consecutive failures: a short stall delays many concurrent calls.
 */
export const remoteTransport = ({ contract, upstream, dispatcher, tokens }: RemoteOptions): Transport => {
  const answered = (error: unknown) => error instanceof Failure
  const breaker = circuitBreaker(
    handleWhen((error) => !answered(error)),
    { halfOpenAfter: 1000, breaker: new SamplingBreaker({ threshold: 0.5, duration: 5000 }) },
  )

  const send = async (op: string, input: string, context: CallContext): Promise<unknown> => {
    const origin = upstream.pick()
    if (origin === undefined) throw new Error(`${contract.name}: no address known`)
    const left = Math.max(1, context.deadline - Date.now())
    const request = async (signal: AbortSignal): Promise<Answer> => {
      const { statusCode, headers, body } = await dispatcher.request({
        origin,
        path: `/internal/${contract.name}/${op}`,
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...traceHeaders(context.traceparent),
          'x-request-id': context.requestId,
          [deadlineHeader]: String(left),
          ...(tokens ? { authorization: `Bearer ${await tokens.mint(contract.name, context)}` } : {}),
        },
        body: input,
        signal,
      })
      upstream.reportAnswer(origin, statusCode, headers)
      const rejected = tokens?.rejection(contract.name, headers)
      const text = await body.text()
      return { status: statusCode, body: text === '' ? undefined : JSON.parse(text), rejected }
    }
    const answer = await abortAfter(left, request).catch((error) => {
      if (Date.now() < context.deadline) upstream.reportFailure(origin)
      throw error
    })
    if (answer.status === 200) return answer.body
    throw answer.rejected ?? refusal(answer, contract) ?? new Error(`${contract.name}.${op} responded with ${answer.status}`)
  }

  return async (op, operation, input, context) => {
    const body = JSON.stringify(input)
    try {
      return await breaker.execute(() => send(op, body, context))
    } catch (error) {
      if (!operation.idempotent || answered(error) || Date.now() >= context.deadline) throw error
      return breaker.execute(() => send(op, body, context))
    }
  }
}

/**
 * Mounts a contract's operations under /internal/<module>/<op>, for the remote clients of other processes. `callersOf` names the
 * services that may call an operation; undefined for all.
 */
export const serveContract = (
  app: FastifyInstance,
  contract: Contract,
  api: Api<Contract>,
  callersOf: (op: string) => readonly string[] | undefined,
): void => {
  for (const [op, operation] of Object.entries(contract.ops)) {
    app.post(
      `/internal/${contract.name}/${op}`,
      { schema: { hide: true }, bodyLimit: internalBodyLimit, config: { callers: callersOf(op), mostValues } },
      async (request, reply) => {
        const left = Number(request.headers[deadlineHeader])
        const budget = Number.isFinite(left) && left > 0 ? Math.min(left, operation.timeoutMs) : operation.timeoutMs
        const output = await api[op]?.(parse(operation.input, request.body) as never, {
          ...request.call,
          deadline: Date.now() + budget,
        })
        return reply.type('application/json').send(JSON.stringify(output ?? null))
      },
    )
  }
}
