import type { Server } from 'node:http'
import Fastify, { type FastifyHttpOptions, type FastifyInstance, LogController } from 'fastify'
import type { Logger } from 'pino'
import { traceIdOf } from '../context.ts'
import { newUuid } from '../ids.ts'
import { compile } from '../schema.ts'
import { bodyLimits, defaultBodyLimit, jsonBodies } from './body.ts'
import { lastRequests } from './last-requests.ts'
import { longRequests } from './long-requests.ts'
import { everyMethod, routeMethods, sendAllowed } from './methods.ts'
import { answerUnreadable, sendProblem, toFailure } from './problem.ts'
import { cleanParameters, readQuery } from './query.ts'
import { replyDefaults } from './reply-defaults.ts'
import { newContext, requestContext } from './request-context.ts'
import { requestLog } from './request-log.ts'
import { originForm } from './request-target.ts'
import { cutSlowClients, type SlowClientsOptions } from './slow-clients.ts'
import type { Tls } from './tls.ts'

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
export const createHttp = async ({
  log,
  trustProxy,
  budgetMs,
  stopping,
  rewriteUrl = (url) => url,
  bodyLimits: limits = {},
  policyVersion = '',
  tls,
  slowClients,
  arrivalMs = 30_000,
}: HttpOptions): Promise<FastifyInstance> => {
  const contextOf = newContext(budgetMs, policyVersion)
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
  // Other expectations may be ignored (RFC 9110, 10.1.1); Node itself would respond with 417.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response))
  app.setValidatorCompiler(({ schema, httpPart }) => compile(schema as object, httpPart))
  app.setErrorHandler((error, request, reply) => {
    const failure = toFailure(error)
    if (failure.status >= 500)
      request.log.error(
        { err: failure.cause ?? error, request_id: request.id, trace_id: traceIdOf(request.call.traceparent) },
        failure.code,
      )
    return sendProblem(failure, request, reply)
  })
  await app.register(routeMethods)
  await app.register(requestContext, { contextOf, needsCertificate: tls !== undefined })
  await app.register(longRequests)
  await app.register(cleanParameters)
  await app.register(jsonBodies)
  await app.register(bodyLimits, { limits })
  await app.register(replyDefaults, { stopping })
  await app.register(requestLog)
  await app.register(lastRequests)
  return app
}
