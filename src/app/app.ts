import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import { auditContract } from '../modules/audit/contract.ts'
import { userContract } from '../modules/user/contract.ts'
import { createAccessTrail } from '../platform/audit/access-trail.ts'
import { accountHash } from '../platform/audit/pseudonyms.ts'
import { watchAccess } from '../platform/audit/watch-access.ts'
import { authenticate } from '../platform/auth/authenticate.ts'
import { jwksRoutes } from '../platform/auth/jwks-routes.ts'
import { createOidc } from '../platform/auth/oidc.ts'
import { createRejection } from '../platform/auth/rejected-tokens.ts'
import { createServiceAccount } from '../platform/auth/service-account.ts'
import { createServiceTokens } from '../platform/auth/service-tokens.ts'
import { runPhases } from '../platform/boot/stop-phases.ts'
import { createBulkhead } from '../platform/concurrency/bulkhead.ts'
import { type RetryPolicy, retryFor } from '../platform/concurrency/retry.ts'
import { continueTrace } from '../platform/context.ts'
import { type Use, use } from '../platform/contract.ts'
import { deadLetterRoutes } from '../platform/events/dead-letter-routes.ts'
import { healthRoutes } from '../platform/http/health.ts'
import { describeRoutes, documentRoutes } from '../platform/http/openapi.ts'
import { countRequestsInFlight } from '../platform/http/requests-in-flight.ts'
import { createHttp } from '../platform/http/server.ts'
import { addSuccessMessages } from '../platform/http/success-messages.ts'
import { createTls } from '../platform/http/tls.ts'
import { createKeyStore } from '../platform/keys/key-store.ts'
import type { FirstSignIn, ModuleContext, ModuleInstance, Resources } from '../platform/module.ts'
import { createMetrics, type MetricsServer, serveMetrics } from '../platform/observability/metrics.ts'
import { serveContract } from '../platform/rpc/http-transport.ts'
import { policy } from '../policy.ts'
import { type ModuleName, registry, tags } from '../registry.ts'
import { createIdentify } from './access-token-identity.ts'
import { audited } from './audited.ts'
import { bodyLimits } from './body-limits.ts'
import { createDatabases } from './databases.ts'
import { createEventBus } from './event-bus.ts'
import { callersOf } from './module-graph.ts'
import { createServiceClients } from './service-clients.ts'
import { calledNames, checkReachable, loadInOrder, remoteNames } from './topology.ts'

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
  /** For tests: `loopback` sends every local call over HTTP, and each idempotent one twice. */
  readonly binding?: 'local' | 'loopback'
  /** For tests: number of attempts of an event, and the pauses between them. */
  readonly queue?: Partial<RetryPolicy>
}

const connectTimeoutMs = 2000

const mapValues = <V, R>(record: Readonly<Record<string, V>>, change: (value: V) => R): Record<string, R> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]))

const pick = <T extends object, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> =>
  Object.fromEntries(keys.map((key) => [key, from[key]])) as Pick<T, K>

/** The composition root. Only this file and those beside it know which modules share a process. */
export const createApp = async ({ config, log, binding = 'local', queue }: AppOptions): Promise<App> => {
  const definitions = await loadInOrder(config.selected)
  const remotes = remoteNames(definitions)
  checkReachable(remotes, config)

  const tls = config.tls && createTls({ files: config.tls, strict: config.production, log, connectTimeoutMs })
  const connect = tls ? tls.connector : { timeout: connectTimeoutMs }
  const metrics = createMetrics()
  let stopping = false
  const http = createHttp({
    log,
    trustProxy: config.trustProxy,
    budgetMs: Math.round(config.requestTimeoutMs * 0.8),
    stopping: () => stopping,
    bodyLimits,
    policyVersion: policy.version,
    // The gateway's port is public.
    tls: definitions.has('gateway') ? undefined : tls,
    slowClients: {
      // The edge limits its clients. A service sees them through the edge, in pieces as large as the buffers between.
      stallMs: config.writeTimeoutMs * (definitions.has('gateway') ? 1 : 2),
      onCut: metrics.counter('http_slow_clients_total', 'connections cut because the client did not read'),
    },
    // The gateway also accepts /api/users for /api/v1/users.
    ...(definitions.has('gateway') ? { rewriteUrl: (url: string) => url.replace(/^\/api\/(?!v\d+(\/|\?|$))/, '/api/v1/') } : {}),
  })
  const requestsUnderWay = countRequestsInFlight(http)
  const gate = createBulkhead(http)
  await metrics.instrument(http)

  const databases = createDatabases(definitions, config, metrics, log)
  const keys = createKeyStore({ folder: config.keysDir, strict: config.production })
  const self = config.selected[0] as ModuleName
  const rejection = createRejection({
    log,
    count: metrics.counter('service_tokens_rejected_total', 'calls of this process whose own token another service refused'),
  })
  const withAccount =
    config.serviceAccount && createServiceAccount({ ...config.serviceAccount, called: calledNames(definitions, config) })
  /** Each module signs for itself, also if several share a process. */
  const ownTokens = new Map(
    config.selected.map((name) => {
      const tokens = createServiceTokens(keys, name, rejection)
      return [name, withAccount ? withAccount(name, tokens) : tokens]
    }),
  )
  const tokensOf = (name: ModuleName) => (config.auth ? ownTokens.get(name) : undefined)

  const modules = new Map<ModuleName, ModuleInstance>()
  let ownUrl: string | undefined
  const loopback = binding === 'loopback' ? () => ownUrl : undefined
  const serviceClients = createServiceClients({
    definitions,
    config,
    modules,
    tokensOf,
    connect,
    log,
    routes: Object.keys(policy.routes),
    loopback,
  })
  const busy = () => requestsUnderWay() > 1
  const retry = { ...retryFor(config.eventRetry.hours, config.eventRetry.longestSeconds), ...queue }
  const events = await createEventBus({ definitions, config, databases, keys, metrics, log, busy, retry })

  for (const [
    name,
    { dependencies = {}, optionalDependencies = {}, config: configKeys = [], uses = [], create },
  ] of definitions) {
    const clientFor = (dependency: Use) => serviceClients.clientFor(dependency, name)
    const resources: { readonly [R in keyof Resources]: () => unknown } = {
      db: () => databases.of(name),
      keys: () => keys,
      retry: () => retry,
      deliveryLimiter: () => events.deliveryLimiter,
      upstreams: () => ({ remotes: serviceClients.forwarded, tokens: tokensOf(name), connect }),
    }
    const parts = await create({
      clients: mapValues(dependencies, clientFor),
      optionalClients: mapValues(optionalDependencies, (dependency) =>
        serviceClients.reachable(dependency.contract.name as ModuleName) ? clientFor(dependency) : undefined,
      ),
      config: pick(config, configKeys),
      log: log.child({ module: name }),
      metrics,
      ...Object.fromEntries(uses.map((resource) => [resource, resources[resource]()])),
    } as ModuleContext)
    modules.set(name, parts)
  }

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
  if (accessTrail) {
    watchAccess(http, {
      ...audited,
      trail: accessTrail,
      accountHash: (email) => accountHash(keys, email),
      log,
      onError: metrics.counter('audit_unrecorded_total', 'requests that belong on the audit trail and could not be put there'),
    })
  } else if (config.auth) log.warn('AUDIT_SERVICE_URL is not set: denials are only in this log')
  for (const { server } of modules.values()) await server?.(http)
  authenticate(http, {
    routes: policy.routes,
    modules: [...definitions.values()].map(({ contract }) => contract),
    serviceTokens: tokensOf(self),
    gatewayName: 'gateway',
    isPublicPort: definitions.has('gateway'),
    identify: createIdentify({
      keys,
      sessions: serviceClients.reachable('user')
        ? serviceClients.clientFor(use(userContract, 'getSessions'), self).getSessions
        : undefined,
      oidc: config.oidc && createOidc(config.oidc),
      staleMs: config.authStaleMs,
      onStale: metrics.counter('auth_stale_sessions_total', 'reads let in by a session known from before'),
      log,
    }),
    asOfNow: userContract.paths.map((path) => `/api/v1${path}`),
    onRefused: metrics.counter('service_tokens_refused_total', "calls refused here for the calling service's token"),
  })
  addSuccessMessages(http)
  await describeRoutes(http, policy.routes, tags)
  if (definitions.has('gateway') || definitions.has('user')) jwksRoutes(http, keys)
  const health = modules.get('gateway')?.health
  await http.register(healthRoutes, {
    service: config.healthName,
    starting: gate.closed,
    stopping: () => stopping,
    checks: databases.checks,
    stuck: events.stuck,
    ...(health ? { details: health } : {}),
  })
  await http.register(
    async (api) => {
      for (const [name, { routes }] of modules) {
        await routes?.(api)
        const repository = events.deadLetters.get(name)
        const [path = `/${name}`] = registry[name].contract.paths
        if (repository) await api.register(deadLetterRoutes, { module: name, path, repository })
      }
    },
    { prefix: '/api/v1' },
  )
  for (const { pages } of modules.values()) await pages?.(http)
  // Never on the gateway's port, which is public, nor if every module is here and nobody outside calls one.
  if (binding === 'loopback' || !definitions.has('gateway')) {
    for (const [name, { api }] of modules) serveContract(http, registry[name].contract, api, (op) => callersOf(name, op))
  }
  const elsewhere = definitions.has('gateway') && remotes.size > 0
  await documentRoutes(http, elsewhere ? new URL('../../docs/openapi.json', import.meta.url) : undefined)
  await http.ready()

  let metricsServer: MetricsServer | undefined
  const listen = async (): Promise<Addresses> => {
    gate.close()
    ownUrl ??= await http.listen({ host: config.host, port: config.port })
    metricsServer ??= await serveMetrics(metrics, config.host, config.metricsPort)
    return { url: ownUrl, metricsPort: metricsServer.port }
  }
  const onItsOwnBehalf = (name: ModuleName) => ({
    actor: { type: 'service', id: name } as const,
    traceparent: continueTrace(),
    policyVersion: policy.version,
  })
  return {
    http,
    seed: async () => {
      for (const { seed } of modules.values()) await seed?.()
    },
    firstSignIn: async (generate) => {
      for (const [name, { firstSignIn }] of modules) {
        const found = await firstSignIn?.(generate, onItsOwnBehalf(name))
        if (found) return found
      }
      return undefined
    },
    resetAdmin: async (email) => {
      for (const [name, { resetAdmin }] of modules) {
        const found = await resetAdmin?.(email, onItsOwnBehalf(name))
        if (found) return found
      }
      return undefined
    },
    listen,
    start: async () => {
      const addresses = await listen()
      await events.start(modules)
      for (const { start } of modules.values()) start?.()
      accessTrail?.start()
      gate.open()
      return addresses
    },
    stop: async () => {
      stopping = true
      if (ownUrl) await new Promise((resolve) => setTimeout(resolve, config.shutdownDelayMs))
      await runPhases(
        [
          {
            name: 'requests',
            limitMs: config.requestTimeoutMs,
            run: () => http.close(),
            force: () => http.server.closeAllConnections(),
          },
          { name: 'deliveries', limitMs: 6000, run: events.stop },
          { name: 'access trail', limitMs: 1000, run: async () => accessTrail?.close() },
          { name: 'modules', limitMs: 1000, run: () => Promise.allSettled([...modules.values()].map(({ close }) => close?.())) },
          { name: 'queues', limitMs: 1000, run: events.close },
          { name: 'services', limitMs: 500, run: serviceClients.close },
          { name: 'databases', limitMs: 1000, run: databases.close },
          { name: 'metrics', limitMs: 500, run: async () => metricsServer?.close() },
        ],
        log,
      )
      tls?.close()
    },
  }
}
