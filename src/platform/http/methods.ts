import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { fail } from '../errors.ts'
import { matchRoutes } from './match-route.ts'
import { sendProblem } from './problem.ts'

/** The methods of the whole server for `OPTIONS *` (RFC 9110, 9.3.7). */
export const everyMethod = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const

/** Records every route that is registered afterwards. @returns the methods of a URL, none if there is no such path */
const watchMethods = (app: FastifyInstance): ((url: string) => string[]) => {
  const routes: Record<string, true> = {}
  let match: ((method: string, url: string) => true | undefined) | undefined
  app.addHook('onRoute', ({ method, url }) => {
    for (const each of [method].flat()) if (each !== 'OPTIONS') routes[`${each} ${url}`] = true
    match = undefined
  })
  return (url) => {
    match ??= matchRoutes(routes)
    const methods = everyMethod.filter((method) => match?.(method, url))
    return methods.length === 0 ? [] : [...methods, 'OPTIONS']
  }
}

export const sendAllowed = (methods: readonly string[], reply: FastifyReply): FastifyReply =>
  reply
    .code(204)
    .headers({ allow: methods.join(', '), 'cache-control': 'no-store' })
    .send()

/** Handles requests without a route: 404, or 405 with the allowed methods, or OPTIONS. */
const answerNotFound =
  (allowedOf: (url: string) => readonly string[]) =>
  (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const allowed = allowedOf(request.url)
    if (allowed.length > 0 && request.method === 'OPTIONS') return sendAllowed(allowed, reply)
    // A route may find nothing under its wildcard.
    if (allowed.length === 0 || allowed.includes(request.method)) return sendProblem(fail('route.not_found'), request, reply)
    return sendProblem(fail('request.method_not_allowed'), request, reply.header('allow', allowed.join(', ')))
  }

/** Records the routes that are registered afterwards, for 405 and OPTIONS. */
export const routeMethods = fp(
  async (app) => {
    app.setNotFoundHandler(answerNotFound(watchMethods(app)))
  },
  { name: 'route-methods' },
)
