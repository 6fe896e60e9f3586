import type { Logger } from 'pino'
import { Agent, type buildConnector } from 'undici'
import type { Config } from '../config.ts'
import type { ServiceTokens } from '../platform/auth/service-tokens.ts'
import type { Shutdown } from '../platform/boot/shutdown.ts'
import type { Client, Contract, Use } from '../platform/contract.ts'
import type { ModuleInstance, Remote } from '../platform/module.ts'
import { createClient, localTransport, type Transport, unavailable } from '../platform/rpc/client.ts'
import { remoteTransport } from '../platform/rpc/http-transport.ts'
import { createUpstream, serviceConnections, type Upstream } from '../platform/upstream/upstream.ts'
import { type ModuleName, registry } from '../registry.ts'
import { calledNames, type Definitions, remoteNames } from './topology.ts'

export interface ServiceClientsOptions {
  readonly definitions: Definitions
  readonly config: Config
  /** The modules of this process; they may be added later. */
  readonly modules: ReadonlyMap<ModuleName, ModuleInstance>
  /** The tokens of a module of this process; undefined with AUTH=off. */
  readonly tokensOf: (caller: ModuleName) => ServiceTokens | undefined
  readonly connect: buildConnector.connector | buildConnector.BuildOptions
  readonly log: Logger
  /** Every public route, such as `GET /api/v1/orders/:id`. */
  readonly routes: readonly string[]
  /** Sends calls within this process over its own HTTP, and each idempotent one twice; returns its address. */
  readonly loopback: (() => string | undefined) | undefined
  readonly shutdown: Shutdown
}

/** Clients of other modules, wherever they run. */
export interface ServiceClients {
  /** The functions of a module's dependency, in this process or over HTTP. */
  clientFor<U extends Use>(dependency: U, caller: ModuleName): Client<U>
  /** Whether a module is here, or its address is known. */
  reachable(name: ModuleName): boolean
  /** The services that the gateway forwards to. */
  readonly forwarded: readonly Remote[]
}

/** This process itself, called over HTTP. */
const ownUpstream = (name: string, url: () => string | undefined): Upstream => ({
  name,
  pick: url,
  targets: () => [],
  reportFailure: () => {},
  reportAnswer: () => {},
  ready: async () => {},
  close: async () => {},
})

export const createServiceClients = ({
  definitions,
  config,
  modules,
  tokensOf,
  connect,
  log,
  routes,
  loopback,
  shutdown,
}: ServiceClientsOptions): ServiceClients => {
  const dispatcher = new Agent({ connections: 64, ...serviceConnections, connect })
  const needed = remoteNames(definitions)
  const upstreams = new Map<ModuleName, Upstream>()
  shutdown.add({
    name: 'services',
    limitMs: 500,
    run: async () => {
      await Promise.all([...upstreams.values()].map((upstream) => upstream.close()))
      await dispatcher.close()
    },
  })
  for (const name of calledNames(definitions, config))
    upstreams.set(name, createUpstream({ name, url: config.serviceUrlOf(name) as string, connect, log }))

  const routesBelow = (paths: readonly string[]): string[] =>
    routes
      .map((route) => route.replace(' /api/v1/', ' /'))
      .filter((route) => paths.some((path) => `${route.split(' ')[1]}/`.startsWith(`${path}/`)))

  const overOwnHttp = (contract: Contract, tokens: ServiceTokens | undefined, url: () => string | undefined): Transport => {
    const send = remoteTransport({ contract, upstream: ownUpstream(contract.name, url), dispatcher, tokens })
    return async (op, operation, input, context) => {
      if (operation.idempotent) await send(op, operation, input, context)
      return send(op, operation, input, context)
    }
  }

  const transportOf = (contract: Contract, caller: ModuleName): Transport => {
    const tokens = tokensOf(caller)
    const name = contract.name as ModuleName
    const upstream = upstreams.get(name)
    if (upstream) return remoteTransport({ contract, upstream, dispatcher, tokens })
    if (loopback) return overOwnHttp(contract, tokens, loopback)
    // Looked up when it is called: what a module asks may be created after it.
    return (...call) => localTransport((modules.get(name) as ModuleInstance).api)(...call)
  }

  return {
    clientFor: ({ contract, ops }, caller) =>
      createClient({ contract, ops, transport: transportOf(contract, caller), log, caller }) as never,
    reachable: (name) => definitions.has(name) || upstreams.has(name),
    forwarded: [...upstreams]
      .filter(([name]) => needed.has(name))
      .map(([name, upstream]) => ({
        name,
        routes: routesBelow(registry[name].contract.paths),
        upstream,
        unavailable: (cause) => unavailable(registry[name].contract, cause),
      })),
  }
}
