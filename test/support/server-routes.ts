import type { FastifyInstance } from 'fastify'

/** Every route of a running server as `METHOD /path`, from its router; HEAD, which goes with GET, is left out. */
export const routesOfServer = (http: FastifyInstance): string[] => {
  const parents: string[] = []
  return http
    .printRoutes({ commonPrefix: false })
    .split('\n')
    .flatMap((line) => {
      const [, branches = '', path = '', methods = ''] = /^([│ ]*[├└]── )(.*) \(([A-Z, ]+)\)$/.exec(line) ?? []
      if (methods === '') return []
      const depth = branches.length / 4 - 1
      parents.length = depth
      parents.push(path === '*' ? '/*' : path)
      const whole = parents.join('')
      return methods
        .split(', ')
        .filter((method) => method !== 'HEAD')
        .map((method) => `${method} ${whole}`)
    })
    .sort()
}
