import { setTimeout as pause } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import { auditContract } from '../modules/audit/contract.ts'
import { createAccessTrail } from '../platform/audit/access-trail.ts'
import { createShutdown, type Shutdown } from '../platform/boot/shutdown.ts'
import { type RetryPolicy, retryFor } from '../platform/concurrency/retry.ts'
import { continueTrace } from '../platform/context.ts'
import { use } from '../platform/contract.ts'
import { createRequestsInFlight } from '../platform/http/requests-in-flight.ts'
import { createStartGate } from '../platform/http/start-gate.ts'
import { createTls } from '../platform/http/tls.ts'
import { createKeyStore } from '../platform/keys/key-store.ts'
import type { FirstSignIn, ModuleInstance } from '../platform/module.ts'
import { createMetrics, createMetricsServer } from '../platform/observability/metrics.ts'
import { policy } from '../policy.ts'
import type { ModuleName } from '../registry.ts'
import { createDatabases } from './databases.ts'
import { createEventBus } from './event-bus.ts'
import { mountRoutes } from './http-routes.ts'
import { createHttpServer } from './http-server.ts'
import { createModules } from './module-instances.ts'
import { createOwnTokens } from './own-tokens.ts'
import { createServiceClients } from './service-clients.ts'
import { checkReachable, loadInOrder, remoteNames } from './topology.ts'

export interface Addresses {
  readonly url: string
  readonly metricsPort: number
}

export interface App {
  readonly http: FastifyInstance
  /** Writes the sample data of every module in this process. */
  seed(): Promise<void>
  /** Ensures that somebody can sign in; see ModuleInstance. */
  firstSignIn(generate: boolean): Promise<FirstSignIn | undefined>
  /** Gives an administrator a new password; see ModuleInstance. */
  resetAdmin(email: string | undefined): Promise<FirstSignIn | undefined>
  /** Binds the ports, and refuses requests until `start`: nothing is created that a port in use would lose. */
  listen(): Promise<Addresses>
  /** Serves requests and consumes events until `stop`. */
  start(): Promise<Addresses>
  /** Readiness off, serve for SHUTDOWN_DELAY_MS, then stop everything in order. */
  stop(): Promise<void>
}

export interface AppOptions {
  readonly config: Config
  readonly log: Logger
  /** What was opened before the app, and stops after it. */
  readonly shutdown?: Shutdown
  /** For tests: `loopback` sends every local call over HTTP, and each idempotent one twice. */
  readonly binding?: 'local' | 'loopback'
  /** For tests: number of attempts of an event, and the pauses between them. */
  readonly queue?: Partial<RetryPolicy>
}

const connectTimeoutMs = 2000

/** The first result of a module; each acts in its own name. */
const firstOf = async <T>(
  modules: ReadonlyMap<ModuleName, ModuleInstance>,
  ask: (instance: ModuleInstance, context: Parameters<NonNullable<ModuleInstance['firstSignIn']>>[1]) => Promise<T> | undefined,
): Promise<T | undefined> => {
  for (const [name, instance] of modules) {
    const actor = { type: 'service', id: name } as const
    const found = await ask(instance, { actor, traceparent: continueTrace(), policyVersion: policy.version })
    if (found) return found
  }
  return undefined
}

/** The shutdown runs in reverse order of this function. */
const compose = async (options: AppOptions, shutdown: Shutdown): Promise<App> => {
  const { config, log, binding = 'local', queue } = options
  const definitions = await loadInOrder(config.selected)
  const remotes = remoteNames(definitions)
  checkReachable(remotes, config)
  const self = config.selected[0] as ModuleName
  const isPublic = definitions.has('gateway')

  const tls = config.tls && createTls({ files: config.tls, strict: config.production, log, connectTimeoutMs })
  if (tls) shutdown.add({ name: 'certificate files', limitMs: 100, run: tls.close })
  const connect = tls ? tls.connector : { timeout: connectTimeoutMs }
  const metrics = createMetrics()
  const metricsServer = createMetricsServer(metrics)
  shutdown.add({ name: 'metrics', limitMs: 500, run: metricsServer.close })
  const databases = createDatabases({ definitions, config, metrics, log, shutdown })
  const keys = createKeyStore({ folder: config.keysDir, strict: config.production })
  const tokensOf = createOwnTokens({ definitions, config, keys, metrics, log })

  let url: string | undefined
  const modules = new Map<ModuleName, ModuleInstance>()
  const serviceClients = createServiceClients({
    ...{ definitions, config, modules, tokensOf, connect, log, shutdown },
    routes: Object.keys(policy.routes),
    loopback: binding === 'loopback' ? () => url : undefined,
  })
  const inFlight = createRequestsInFlight()
  const busy = () => inFlight.count() > 1
  const retry = { ...retryFor(config.eventRetry.hours, config.eventRetry.longestSeconds), ...queue }
  const events = await createEventBus({ definitions, config, databases, keys, metrics, log, busy, retry, shutdown })
  await createModules(modules, {
    ...{ definitions, config, keys, databases, events, serviceClients, tokensOf, connect, retry, metrics, log, shutdown },
  })
  const { record } = serviceClients.clientFor(use(auditContract, 'record'), self)
  const accessTrail = serviceClients.reachable('audit')
    ? createAccessTrail({
        service: self,
        keys,
        policyVersion: policy.version,
        record,
        finalCodes: ['audit.invalid_signature', 'audit.event_taken'],
        log,
      })
    : undefined
  if (accessTrail) shutdown.add({ name: 'access trail', limitMs: 1000, run: accessTrail.close })
  shutdown.add({ name: 'deliveries', limitMs: 6000, run: events.stop })

  let serving = false
  let stopping = false
  const gate = createStartGate()
  const tokens = tokensOf(self)
  const http = await createHttpServer({
    ...{
      definitions,
      config,
      self,
      modules,
      serviceClients,
      tokens,
      accessTrail,
      keys,
      tls,
      inFlight,
      gate,
      metrics,
      log,
      shutdown,
    },
    stopping: () => stopping,
  })
  await mountRoutes(http, {
    ...{ modules, databases, events, keys, healthName: config.healthName },
    starting: gate.closed,
    stopping: () => stopping,
    // Never on the gateway's port, which is public, nor if every module is here and nobody outside calls one.
    servesContracts: binding === 'loopback' || !isPublic,
    forwards: isPublic && remotes.size > 0,
  })

  shutdown.add({
    name: 'readiness',
    limitMs: config.shutdownDelayMs + 1000,
    run: async () => {
      stopping = true
      if (serving) await pause(config.shutdownDelayMs)
    },
  })

  const listen = async (): Promise<Addresses> => {
    gate.close()
    url ??= await http.listen({ host: config.host, port: config.port })
    return { url, metricsPort: await metricsServer.listen(config.host, config.metricsPort) }
  }
  return {
    http,
    seed: async () => {
      for (const { seed } of modules.values()) await seed?.()
    },
    firstSignIn: (generate) => firstOf(modules, ({ firstSignIn }, context) => firstSignIn?.(generate, context)),
    resetAdmin: (email) => firstOf(modules, ({ resetAdmin }, context) => resetAdmin?.(email, context)),
    listen,
    start: async () => {
      const addresses = await listen()
      await events.start(modules)
      for (const { start } of modules.values()) start?.()
      accessTrail?.start()
      serving = true
      gate.open()
      return addresses
    },
    stop: shutdown.run,
  }
}

/**
 * The composition root. Only this file and those beside it know which modules share a process. If it fails, it closes everything
 * that is open.
 */
export const createApp = async (options: AppOptions): Promise<App> => {
  const { shutdown = createShutdown(options.log) } = options
  try {
    return await compose(options, shutdown)
  } catch (error) {
    await shutdown.run()
    throw error
  }
}
