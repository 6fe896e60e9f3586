import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import { userContract } from '../modules/user/contract.ts'
import type { AccessTrail } from '../platform/audit/access-trail.ts'
import { accountHash } from '../platform/audit/pseudonyms.ts'
import { watchAccess } from '../platform/audit/watch-access.ts'
import { createAuthentication } from '../platform/auth/authenticate.ts'
import { createOidc } from '../platform/auth/oidc.ts'
import type { ServiceTokens } from '../platform/auth/service-tokens.ts'
import type { Shutdown } from '../platform/boot/shutdown.ts'
import { use } from '../platform/contract.ts'
import { describeRoutes } from '../platform/http/openapi.ts'
import type { RequestsInFlight } from '../platform/http/requests-in-flight.ts'
import { createHttp } from '../platform/http/server.ts'
import type { StartGate } from '../platform/http/start-gate.ts'
import { successMessages } from '../platform/http/success-messages.ts'
import type { Tls } from '../platform/http/tls.ts'
import type { KeyStore } from '../platform/keys/key-store.ts'
import type { ModuleInstance } from '../platform/module.ts'
import type { Metrics } from '../platform/observability/metrics.ts'
import { policy } from '../policy.ts'
import { type ModuleName, tags } from '../registry.ts'
import { createIdentify } from './access-token-identity.ts'
import { audited } from './audited.ts'
import { bodyLimits } from './body-limits.ts'
import type { ServiceClients } from './service-clients.ts'
import type { Definitions } from './topology.ts'

export interface HttpServerOptions {
  readonly definitions: Definitions
  readonly config: Config
  /** The module in whose name the process itself calls others. */
  readonly self: ModuleName
  readonly modules: ReadonlyMap<ModuleName, ModuleInstance>
  readonly serviceClients: ServiceClients
  readonly tokens: ServiceTokens | undefined
  readonly accessTrail: AccessTrail | undefined
  readonly keys: KeyStore
  readonly tls: Tls | undefined
  readonly inFlight: RequestsInFlight
  readonly gate: StartGate
  readonly stopping: () => boolean
  readonly metrics: Metrics
  readonly log: Logger
  readonly shutdown: Shutdown
}

/** The gateway also accepts /api/users for /api/v1/users. */
const versioned = (url: string): string => url.replace(/^\/api\/(?!v\d+(\/|\?|$))/, '/api/v1/')

const openServer = async (options: HttpServerOptions): Promise<FastifyInstance> => {
  const { definitions, config, tls, stopping, metrics, log, shutdown } = options
  const isPublic = definitions.has('gateway')
  const http = await createHttp({
    log,
    trustProxy: config.trustProxy,
    budgetMs: Math.round(config.requestTimeoutMs * 0.8),
    stopping,
    bodyLimits,
    policyVersion: policy.version,
    // The gateway's port is public.
    tls: isPublic ? undefined : tls,
    slowClients: {
      // The edge limits its clients. A service sees them through the edge, in pieces as large as the buffers between.
      stallMs: config.writeTimeoutMs * (isPublic ? 1 : 2),
      onCut: metrics.counter('http_slow_clients_total', 'connections cut because the client did not read'),
    },
    ...(isPublic ? { rewriteUrl: versioned } : {}),
  })
  shutdown.add({
    name: 'requests',
    limitMs: config.requestTimeoutMs,
    run: () => http.close(),
    force: () => http.server.closeAllConnections(),
  })
  return http
}

const authenticationOf = (options: HttpServerOptions) => {
  const { definitions, config, self, serviceClients, tokens, keys, metrics, log } = options
  const isPublicPort = definitions.has('gateway')
  return createAuthentication({
    routes: policy.routes,
    modules: [...definitions.values()].map(({ contract }) => contract),
    serviceTokens: tokens,
    gatewayName: 'gateway',
    isPublicPort,
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
    after: ['start-gate', ...(isPublicPort ? ['rate-limit'] : [])],
  })
}

/** The HTTP server with its hooks, before any route. Each hook is a plugin that names the plugins it depends on. */
export const createHttpServer = async (options: HttpServerOptions): Promise<FastifyInstance> => {
  const { config, modules, accessTrail, keys, inFlight, gate, metrics, log } = options
  const http = await openServer(options)
  await http.register(inFlight.plugin)
  await http.register(gate.plugin)
  await metrics.instrument(http)
  if (accessTrail) {
    await http.register(watchAccess, {
      ...audited,
      trail: accessTrail,
      accountHash: (email: string) => accountHash(keys, email),
      log,
      onError: metrics.counter('audit_unrecorded_total', 'requests that belong on the audit trail and could not be put there'),
    })
  } else if (config.auth) log.warn('AUDIT_SERVICE_URL is not set: denials are only in this log')
  for (const { server } of modules.values()) await server?.(http)
  await http.register(authenticationOf(options))
  await http.register(successMessages)
  await http.register(describeRoutes, { routes: policy.routes, tags })
  return http
}
