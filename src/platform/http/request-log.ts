import fp from 'fastify-plugin'
import { traceIdOf } from '../context.ts'
import { pathOf } from './path.ts'

/** Logs one line per request, except health checks. */
export const requestLog = fp(
  async (app) => {
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
  },
  { name: 'request-log', dependencies: ['request-context'] },
)
