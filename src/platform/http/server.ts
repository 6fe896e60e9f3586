import type { Server } from 'node:http'
import type { TLSSocket } from 'node:tls'
import Fastify, { type FastifyHttpOptions, type FastifyInstance, LogController } from 'fastify'
import type { Logger } from 'pino'
import { anonymous, type CallContext, continueTrace, traceIdOf } from '../context.ts'
import { fail } from '../errors.ts'
import { newUuid } from '../ids.ts'
import { assertCleanText, compile } from '../schema.ts'
import { defaultBodyLimit, takeBodies } from './body.ts'
import { allRead } from './last-requests.ts'
import { handleLongInTurn } from './long-requests.ts'
import { malformed, reasons } from './malformed.ts'
import { answerNotFound, everyMethod, sendAllowed, watchMethods } from './methods.ts'
import { pathOf } from './path.ts'
import { answerUnreadable, sendProblem, toFailure, withVary } from './problem.ts'
import { assertQuery, readQuery } from './query.ts'
import { assertHead, originForm } from './request-target.ts'
import { cutSlowClients, type SlowClientsOptions } from './slow-clients.ts'
import type { Tls } from './tls.ts'

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

export interface HttpOptions {
  readonly log: Logger
  readonly trustProxy: boolean | string[] | ((address: string, hop: number) => boolean)
  /** Milliseconds that one request may take in this process. */
  readonly budgetMs: number
  readonly stopping: () => boolean
  /** Changes a request's path and query before routing. */
  readonly rewriteUrl?: (url: string) => string
  /** Maximum body size in bytes by route, such as `POST /api/v1/orders`. */
  readonly bodyLimits?: Readonly<Record<string, number>>
  /** Stored with every change that a request makes. */
  readonly policyVersion?: string
  /** Serves HTTPS to clients with a certificate; others get only health checks, because a probe has none. */
  readonly tls?: Tls | undefined
  readonly slowClients?: SlowClientsOptions
  /** Milliseconds in which a whole request must arrive, head and body. */
  readonly arrivalMs?: number
}

/** Longer than a request line can be: an id of any length reaches its schema, after all hooks. */
const maxParamLength = 65_536

const requestId = (header: unknown): string => (typeof header === 'string' && /^[\w.:-]{8,64}$/.test(header) ? header : newUuid())

/** A Fastify server with the rules for every route of every service. */
export const createHttp = ({
  log,
  trustProxy,
  budgetMs,
  stopping,
  rewriteUrl = (url) => url,
  bodyLimits = {},
  policyVersion = '',
  tls,
  slowClients,
  arrivalMs = 30_000,
}: HttpOptions): FastifyInstance => {
  const serverOptions: FastifyHttpOptions<Server> = {
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    // No logger per request: each line has the request's id, and most requests log just one line.
    childLoggerFactory: (logger) => logger,
    trustProxy,
    bodyLimit: defaultBodyLimit,
    requestTimeout: arrivalMs,
    keepAliveTimeout: 75_000,
    forceCloseConnections: 'idle',
    // While closing, requests on open connections are still served; readiness keeps new clients away.
    return503OnClosing: false,
    genReqId: (request) => requestId(request.headers['x-request-id']),
    routerOptions: { maxParamLength, querystringParser: readQuery },
    rewriteUrl: (request) => rewriteUrl(originForm(request.url ?? '/')),
    clientErrorHandler: (error, socket) => answerUnreadable(error, socket, app.everyAnswer),
    // No hook has seen these.
    frameworkErrors: (error, request, reply) => {
      request.call ??= contextOf(request.id, undefined)
      reply.headers({ ...app.everyAnswer, 'x-request-id': request.id })
      if (request.method === 'OPTIONS' && request.url === '*') void sendAllowed(everyMethod, reply)
      else void sendProblem(toFailure(error), request, reply)
    },
  }
  const nodeOptions = {
    // Node's own response to a missing Host is not in our format: `assertHead` refuses it.
    requireHostHeader: false,
    headersTimeout: arrivalMs,
    // By default Node checks every 30 s, so a late request would get twice its time.
    connectionsCheckingInterval: Math.min(1000, arrivalMs / 4),
  }
  const app = Fastify({
    ...serverOptions,
    ...(tls ? { https: { ...tls.serverOptions(), ...nodeOptions } } : { http: nodeOptions }),
  } as FastifyHttpOptions<Server>)
  tls?.follow(app.server)
  if (slowClients) cutSlowClients(app.server, slowClients)
  app.decorate('everyAnswer', {})
  // Other expectations may be ignored (RFC 9110, 10.1.1); Node itself would respond with 417.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response))
  const allowedOf = watchMethods(app)

  const contextOf = (id: string, traceparent: unknown): CallContext => ({
    deadline: Date.now() + budgetMs,
    actor: anonymous,
    traceparent: continueTrace(typeof traceparent === 'string' ? traceparent : undefined),
    requestId: id,
    policyVersion,
    role: null,
    scope: 'all',
  })

  app.setValidatorCompiler(({ schema, httpPart }) => compile(schema as object, httpPart))
  app.decorateRequest('call')
  app.decorateRequest('failureCode')
  // These hooks use callbacks: a promise for each would cost more than the hook itself.
  app.addHook('onRequest', (request, reply, done) => {
    request.call = contextOf(request.id, request.headers.traceparent)
    reply.headers({ ...app.everyAnswer, 'x-request-id': request.id })
    const known = !tls || (request.raw.socket as TLSSocket).authorized || request.routeOptions.url?.startsWith('/health')
    try {
      assertHead(request.raw)
      done(known ? undefined : fail('auth.certificate_required'))
    } catch (problem) {
      done(problem as Error)
    }
  })
  handleLongInTurn(app)
  app.addHook('preValidation', ({ url, params, query }, _reply, done) => {
    try {
      assertQuery(url)
      assertCleanText(params)
      assertCleanText(query)
      done()
    } catch (problem) {
      done(problem as Error)
    }
  })

  const parseJson = app.getDefaultJsonParser('error', 'error')
  takeBodies(app, (request, text, _bytes, done) =>
    parseJson(request, text, (error, value) => (error ? done(malformed(reasons.notJson, error)) : done(null, value))),
  )
  app.addHook('onRoute', (route) => {
    const limit = bodyLimits[`${route.method} ${route.url}`]
    if (limit !== undefined) route.bodyLimit ??= limit
  })

  app.setErrorHandler((error, request, reply) => {
    const failure = toFailure(error)
    if (failure.status >= 500)
      request.log.error(
        { err: failure.cause ?? error, request_id: request.id, trace_id: traceIdOf(request.call.traceparent) },
        failure.code,
      )
    return sendProblem(failure, request, reply)
  })
  app.setNotFoundHandler(answerNotFound(allowedOf))

  app.addHook('onSend', (_request, reply, _payload, done) => {
    // Responses are personal (tokens among them: RFC 6749, 5.1), or short-lived: a cacheable route overrides this.
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
    if (reply.hasHeader('content-language')) reply.header('vary', withVary(reply.getHeader('vary'), 'Accept-Language'))
    // A stopping server says so in each response: the client opens its next connection elsewhere.
    if (stopping()) reply.header('connection', 'close')
    done()
  })
  app.addHook('preClose', () => allRead(app.server))
  app.addHook('onResponse', (request, reply, done) => {
    done()
    if (request.url.startsWith('/health')) return
    request.log.info(
      {
        method: request.method,
        route: request.routeOptions.url,
        path: pathOf(request.url),
        status: reply.statusCode,
        duration_ms: Math.round(reply.elapsedTime * 10) / 10,
        trace_id: traceIdOf(request.call.traceparent),
        request_id: request.id,
        actor: request.call.actor.id ?? request.call.actor.type,
        code: request.failureCode,
      },
      'request',
    )
  })
  return app
}
