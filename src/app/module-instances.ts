import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import type { ServiceTokens } from '../platform/auth/service-tokens.ts'
import { createShutdown, type Shutdown } from '../platform/boot/shutdown.ts'
import type { RetryPolicy } from '../platform/concurrency/retry.ts'
import type { Use } from '../platform/contract.ts'
import type { KeyStore } from '../platform/keys/key-store.ts'
import type { ModuleContext, ModuleInstance, Resources, Upstreams } from '../platform/module.ts'
import type { Metrics } from '../platform/observability/metrics.ts'
import type { ModuleName } from '../registry.ts'
import type { Databases } from './databases.ts'
import type { EventBus } from './event-bus.ts'
import type { ServiceClients } from './service-clients.ts'
import type { Definitions } from './topology.ts'

export interface ModulesOptions {
  readonly definitions: Definitions
  readonly config: Config
  readonly keys: KeyStore
  readonly databases: Databases
  readonly events: EventBus
  readonly serviceClients: ServiceClients
  readonly tokensOf: (name: ModuleName) => ServiceTokens | undefined
  readonly connect: Upstreams['connect']
  readonly retry: RetryPolicy
  readonly metrics: Metrics
  readonly log: Logger
  readonly shutdown: Shutdown
}

/** For all modules together: they stop concurrently. */
const stopWithinMs = 1000

const mapValues = <V, R>(record: Readonly<Record<string, V>>, change: (value: V) => R): Record<string, R> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]))

const pick = <T extends object, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> =>
  Object.fromEntries(keys.map((key) => [key, from[key]])) as Pick<T, K>

/** Creates the modules of this process, callees before callers, and adds each to `modules`. */
export const createModules = async (modules: Map<ModuleName, ModuleInstance>, options: ModulesOptions): Promise<void> => {
  const { definitions, config, keys, databases, events, serviceClients, tokensOf, connect, retry, metrics, shutdown } = options
  const parts: Shutdown[] = []
  shutdown.add({ name: 'modules', limitMs: stopWithinMs, run: () => Promise.all(parts.map((part) => part.run())) })

  for (const [name, definition] of definitions) {
    const { dependencies = {}, optionalDependencies = {}, config: configKeys = [], uses = [], create } = definition
    const log = options.log.child({ module: name })
    const own = createShutdown(log)
    parts.push(own)
    const clientFor = (dependency: Use) => serviceClients.clientFor(dependency, name)
    const resources: { readonly [R in keyof Resources]: () => unknown } = {
      db: () => databases.of(name),
      keys: () => keys,
      retry: () => retry,
      deliveryLimiter: () => events.deliveryLimiter,
      upstreams: () => ({ remotes: serviceClients.forwarded, tokens: tokensOf(name), connect }),
    }
    const instance = await create({
      clients: mapValues(dependencies, clientFor),
      optionalClients: mapValues(optionalDependencies, (dependency) =>
        serviceClients.reachable(dependency.contract.name as ModuleName) ? clientFor(dependency) : undefined,
      ),
      config: pick(config, configKeys),
      log,
      metrics,
      onStop: (part, run) => own.add({ name: part, limitMs: stopWithinMs, run }),
      ...Object.fromEntries(uses.map((resource) => [resource, resources[resource]()])),
    } as ModuleContext)
    modules.set(name, instance)
  }
}
