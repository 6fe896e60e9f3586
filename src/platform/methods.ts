import type { FastifyInstance, FastifyReply } from 'fastify'
import { matchRoutes } from './auth/match-route.ts'

/** What `OPTIONS *` tells of the server as a whole (RFC 9110, 9.3.7). */
export const everyMethod = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const

/** The origin form of a request's target: a client that takes us for a proxy sends the whole URL (RFC 9112, 3.2.2). */
export const originForm = (target: string): string => {
  const [, rest] = /^https?:\/\/[^/?#\\]+([^#]*)$/i.exec(target) ?? []
  if (rest === undefined) return target
  return rest.startsWith('/') ? rest : `/${rest}`
}

/** Notes every route that is registered after it. @returns the methods that a URL takes, none where there is no such path */
export const watchMethods = (app: FastifyInstance): ((url: string) => string[]) => {
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
