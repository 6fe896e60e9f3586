import type { FastifyInstance } from 'fastify'
import { jwksRoutes } from '../platform/auth/jwks-routes.ts'
import { deadLetterRoutes } from '../platform/events/dead-letter-routes.ts'
import { healthRoutes } from '../platform/http/health.ts'
import { documentRoutes } from '../platform/http/openapi.ts'
import type { KeyStore } from '../platform/keys/key-store.ts'
import type { ModuleInstance } from '../platform/module.ts'
import { serveContract } from '../platform/rpc/http-transport.ts'
import { type ModuleName, registry } from '../registry.ts'
import type { Databases } from './databases.ts'
import type { EventBus } from './event-bus.ts'
import { callersOf } from './module-graph.ts'

export interface RoutesOptions {
  readonly modules: ReadonlyMap<ModuleName, ModuleInstance>
  /** Such as `order-service`. */
  readonly healthName: string
  readonly starting: () => boolean
  readonly stopping: () => boolean
  readonly databases: Databases
  readonly events: EventBus
  readonly keys: KeyStore
  /** Also serves calls between modules. */
  readonly servesContracts: boolean
  /** Forwards public routes to other processes, and so cannot describe them itself. */
  readonly forwards: boolean
}

/** Registers every route of the process. */
export const mountRoutes = async (http: FastifyInstance, options: RoutesOptions): Promise<void> => {
  const { modules, healthName, starting, stopping, databases, events, keys, servesContracts, forwards } = options
  if (modules.has('gateway') || modules.has('user')) jwksRoutes(http, keys)
  const health = modules.get('gateway')?.health
  await http.register(healthRoutes, {
    service: healthName,
    starting,
    stopping,
    checks: databases.checks,
    stuck: events.stuck,
    ...(health ? { details: health } : {}),
  })
  await http.register(
    async (api) => {
      for (const [name, { routes }] of modules) {
        await routes?.(api)
        const repository = events.deadLetters.get(name)
        if (repository) await api.register(deadLetterRoutes, { contract: registry[name].contract, repository })
      }
    },
    { prefix: '/api/v1' },
  )
  for (const { pages } of modules.values()) await pages?.(http)
  if (servesContracts)
    for (const [name, { api }] of modules) serveContract(http, registry[name].contract, api, (op) => callersOf(name, op))
  await documentRoutes(http, forwards ? new URL('../../docs/openapi.json', import.meta.url) : undefined)
  await http.ready()
}
