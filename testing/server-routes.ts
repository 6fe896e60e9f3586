import type { FastifyInstance } from 'fastify'

/**
 * Every route of a running server as `METHOD /path`, from its router; HEAD, which goes with GET, is left out. The tree is printed
 * with its common prefixes: without them the router prints `/assets/*` as `/*` beside a route `/`.
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
