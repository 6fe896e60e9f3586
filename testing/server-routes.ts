import type { FastifyInstance } from 'fastify'

/**
 * Every route of a running server as `METHOD /path`, from its router, without the HEAD routes of GET. The tree is printed with
 * common prefixes: without them, the router prints `/assets/*` as `/*` if there is a route `/`.
 */
export const routesOfServer = (http: FastifyInstance): string[] => {
  const parents: string[] = []
  return http
    .printRoutes()
    .split('\n')
    .flatMap((line) => {
      const [, branches = '', part = '', methods = ''] = /^([│ ]*[├└]── )(\S+)(?: \(([A-Z, ]+)\))?$/.exec(line) ?? []
      if (part === '') return []
      const depth = branches.length / 4 - 1
      parents.length = depth
      parents.push(part)
      const whole = parents.join('')
      return methods
        .split(', ')
        .filter((method) => method !== '' && method !== 'HEAD')
        .map((method) => `${method} ${whole}`)
    })
    .sort()
}
