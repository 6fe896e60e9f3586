import type { TLSSocket } from 'node:tls'
import fp from 'fastify-plugin'
import { anonymous, type CallContext, continueTrace } from '../context.ts'
import { fail } from '../errors.ts'
import { assertHead } from './request-target.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Headers of every response, including those that no hook sees. */
    everyAnswer: Record<string, string>
  }
  interface FastifyRequest {
    /** Actor, deadline and trace: passed on to services and to other modules. */
    call: CallContext
    /** The error of the request; undefined otherwise. */
    failureCode: string | undefined
  }
}

export interface RequestContextOptions {
  readonly contextOf: (id: string, traceparent: unknown) => CallContext
  /** Refuses clients without a certificate, except for health checks: a probe has none. */
  readonly needsCertificate: boolean
}

/** The context of an unauthenticated request. `budgetMs`: its time limit. */
export const newContext =
  (budgetMs: number, policyVersion: string): RequestContextOptions['contextOf'] =>
  (id, traceparent) => ({
    deadline: Date.now() + budgetMs,
    actor: anonymous,
    traceparent: continueTrace(typeof traceparent === 'string' ? traceparent : undefined),
    requestId: id,
    policyVersion,
    role: null,
    scope: 'all',
  })

/** Sets the context of each request and the id of its response, and refuses ambiguous heads. */
export const requestContext = fp<RequestContextOptions>(
  async (app, { contextOf, needsCertificate }) => {
    app.decorate('everyAnswer', {})
    app.decorateRequest('call')
    app.decorateRequest('failureCode')
    // Hooks of every request use callbacks: a promise for each would cost more than the hook itself.
    app.addHook('onRequest', (request, reply, done) => {
      request.call = contextOf(request.id, request.headers.traceparent)
      reply.headers({ ...app.everyAnswer, 'x-request-id': request.id })
      const { authorized } = request.raw.socket as TLSSocket
      const known = !needsCertificate || authorized || request.routeOptions.url?.startsWith('/health')
      try {
        assertHead(request.raw)
        done(known ? undefined : fail('auth.certificate_required'))
      } catch (problem) {
        done(problem as Error)
      }
    })
  },
  { name: 'request-context' },
)
