import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import { Agent } from 'undici'
import { type Config, ConfigError } from './config.ts'
import { bind, localTransport, type Transport } from './platform/bind.ts'
import type { Api, Contract } from './platform/contract.ts'
import { createDatabase, type Database } from './platform/db.ts'
import { startConsumer } from './platform/events/consumer.ts'
import { createRelay, type Relay } from './platform/events/relay.ts'
import { createDeadLetterRepository, createInboxRepository, createOutboxRepository } from './platform/events/repository.ts'
import { healthRoutes } from './platform/health.ts'
import { countRequests, createHttp } from './platform/http.ts'
import { createMetrics, type MetricsServer, serveMetrics } from './platform/metrics.ts'
import type { Calls, Parts, Remote } from './platform/module.ts'
import { describeRoutes, documentRoutes } from './platform/openapi.ts'
import { createEventQueues, type EventQueues } from './platform/queue.ts'
import { remoteTransport, serveContract } from './platform/rpc.ts'
import { createUpstream, type Upstream } from './platform/upstream.ts'
import { eventRoutes, type ModuleName, registry } from './registry.ts'
import { checkReachable, type Definitions, loadInOrder, remoteNames } from './topology.ts'

export interface App {
  readonly http: FastifyInstance
  /** Writes the sample data of every module in this process. */
  seed(): Promise<void>
  /** Serves and consumes until `stop`. */
  start(): Promise<{ readonly url: string; readonly metricsPort: number }>
  /** Readiness off, serve on for SHUTDOWN_DELAY_MS, then end everything in order. */
  stop(): Promise<void>
}

export interface AppOptions {
  readonly config: Config
  readonly log: Logger
  /** For tests: `loopback` sends every local call over HTTP, and each idempotent one twice. */
  readonly binding?: 'local' | 'loopback'
  /** For tests: how often an event is tried, and the wait after the first failure in milliseconds. */
  readonly queue?: { readonly attempts?: number; readonly backoffMs?: number }
}

/** Queues are opened where events come from or go to; a process without either needs no transport. */
const openQueues = async (
  definitions: Definitions,
  { config, log, queue }: Pick<AppOptions, 'config' | 'log' | 'queue'>,
): Promise<EventQueues | undefined> => {
  const moved = [...definitions.values()].some(
    ({ contract }) =>
      contract.subscribes.length > 0 || Object.keys(contract.events).some((type) => (eventRoutes[type] ?? []).length > 0),
  )
  if (!moved) return undefined
  if (!config.redisUrl && !config.databaseUrl) {
    throw new ConfigError(['REDIS_URL is missing: events need it, or DATABASE_URL, as a transport that all services share'])
  }
  return createEventQueues({ redisUrl: config.redisUrl, databaseUrl: config.databaseUrl, log, ...queue })
}

const noQueues = new Proxy({} as EventQueues, {
  get: () => {
    throw new Error('this process has no event queues')
  },
})

/** Puts the selected modules together. The only place that knows which of them share a process. */
export const createApp = async ({ config, log, binding = 'local', queue }: AppOptions): Promise<App> => {
  const definitions = await loadInOrder(config.selected)
  const remotes = remoteNames(definitions)
  checkReachable(remotes, config)

  const metrics = createMetrics()
  let stopping = false
  const http = createHttp({
    log,
    trustProxy: config.trustProxy,
    budgetMs: Math.round(config.requestTimeoutMs * 0.8),
    stopping: () => stopping,
    // The gateway also takes /api/users for /api/v1/users.
    ...(definitions.has('gateway') ? { rewriteUrl: (url: string) => url.replace(/^\/api\/(?!v\d+(\/|\?|$))/, '/api/v1/') } : {}),
  })
  await metrics.instrument(http)
  const requestsUnderWay = countRequests(http)

  const databases = new Map<string, Database>()
  const databaseOf = (name: ModuleName): Database => {
    const url = config.databaseUrlOf(name)
    if (!url) return noDatabase
    const open =
      databases.get(url) ??
      createDatabase({
        url,
        max: config.databasePool,
        statementTimeoutMs: Math.max(100, Math.round(config.requestTimeoutMs * 0.5)),
        applicationName: config.healthName,
        onWait: (seconds) => metrics.observePoolWait(name, seconds),
      })
    databases.set(url, open)
    return open
  }

  const queues = await openQueues(definitions, { config, log, ...(queue ? { queue } : {}) })
  const dispatcher = new Agent({ connections: 64, keepAliveTimeout: 30_000, connect: { timeout: 2000 } })
  const upstreams = new Map<ModuleName, Upstream>(
    [...remotes.keys()].map((name) => [name, createUpstream({ name, url: config.serviceUrlOf(name) as string, log })]),
  )

  const modules = new Map<ModuleName, Parts>()
  const relays: Relay[] = []
  const consumers: { close(): Promise<void> }[] = []
  let ownUrl: string | undefined

  const overOwnHttp = (contract: Contract): Transport => {
    const upstream: Upstream = {
      name: contract.name,
      pick: () => ownUrl,
      targets: () => [],
      reportFailure: () => {},
      reportAnswer: () => {},
      ready: async () => {},
      close: async () => {},
    }
    const send = remoteTransport({ contract, upstream, dispatcher })
    return async (op, operation, input, context) => {
      if (operation.idempotent) await send(op, operation, input, context)
      return send(op, operation, input, context)
    }
  }

  const apiOf = (contract: Contract): Api<Contract> => {
    const name = contract.name as ModuleName
    const upstream = upstreams.get(name)
    if (upstream) return bind(contract, remoteTransport({ contract, upstream, dispatcher }), log)
    const parts = modules.get(name) as Parts
    return bind(contract, binding === 'loopback' ? overOwnHttp(contract) : localTransport(parts.api), log)
  }

  for (const [name, definition] of definitions) {
    const db = databaseOf(name)
    let relay: Relay | undefined
    if (definition.tables) {
      const outbox = createOutboxRepository(db, definition.tables.outbox, eventRoutes)
      relay = createRelay({ outbox, queues: queues ?? noQueues, routes: eventRoutes, log })
      queues?.onBack(relay.recheck)
      relays.push(relay)
      metrics.outbox(name, outbox.backlog)
    }
    const calls = Object.fromEntries(Object.entries(definition.needs).map(([key, contract]) => [key, apiOf(contract)])) as Calls<
      Record<string, Contract>
    >
    const gatewayRemotes: Remote[] = [...upstreams].map(([remote, upstream]) => ({
      name: remote,
      paths: registry[remote].contract.paths,
      upstream,
    }))
    modules.set(
      name,
      await definition.create({
        calls,
        db,
        config,
        log: log.child({ module: name }),
        metrics,
        queues: queues ?? noQueues,
        nudge: () => relay?.nudge(),
        remotes: name === 'gateway' ? gatewayRemotes : [],
      }),
    )
  }

  for (const { server } of modules.values()) await server?.(http)
  await describeRoutes(http)
  const health = modules.get('gateway')?.health
  await http.register(healthRoutes, {
    service: config.healthName,
    stopping: () => stopping,
    checks: Object.fromEntries(
      [...definitions.keys()]
        .filter((name) => databaseOf(name) !== noDatabase)
        .map((name) => [`${name}-database`, () => databaseOf(name).ping()]),
    ),
    ...(health ? { details: health } : {}),
  })
  await http.register(
    async (api) => {
      for (const { routes } of modules.values()) await routes?.(api)
    },
    { prefix: '/api/v1' },
  )
  // Never on the gateway's port, which is everybody's; and not where every module is here and nobody outside calls one.
  if (binding === 'loopback' || !definitions.has('gateway')) {
    for (const [name, { api }] of modules) serveContract(http, registry[name].contract, api)
  }
  const elsewhere = definitions.has('gateway') && remotes.size > 0
  await documentRoutes(http, elsewhere ? new URL('../docs/openapi.json', import.meta.url) : undefined)
  await http.ready()

  const startConsumers = async () => {
    for (const [name, { handlers }] of modules) {
      const tables = definitions.get(name)?.tables
      if (!handlers || !queues || !tables?.deadLetters || !tables.inbox) continue
      const deadLetters = createDeadLetterRepository(databaseOf(name), tables.deadLetters)
      const inbox = createInboxRepository(databaseOf(name), tables.inbox)
      metrics.consumer(name, deadLetters.count, () => queues.counts(name))
      consumers.push(
        await startConsumer({
          name,
          handlers,
          queues,
          deadLetters,
          inbox,
          busy: () => requestsUnderWay() > 1,
          log: log.child({ module: name }),
        }),
      )
    }
  }

  let metricsServer: MetricsServer | undefined
  return {
    http,
    seed: async () => {
      for (const { seed } of modules.values()) await seed?.()
    },
    start: async () => {
      ownUrl = await http.listen({ host: config.host, port: config.port })
      metricsServer = await serveMetrics(metrics, config.host, config.metricsPort)
      await startConsumers()
      for (const relay of relays) relay.start()
      return { url: ownUrl, metricsPort: metricsServer.port }
    },
    stop: async () => {
      stopping = true
      if (ownUrl) await new Promise((resolve) => setTimeout(resolve, config.shutdownDelayMs))
      await http.close()
      await Promise.allSettled(consumers.map((consumer) => consumer.close()))
      await Promise.allSettled(relays.map((relay) => relay.close()))
      await Promise.allSettled([...modules.values()].map(({ close }) => close?.()))
      await queues?.close()
      await Promise.allSettled([...upstreams.values()].map((upstream) => upstream.close()))
      await dispatcher.close()
      await Promise.allSettled([...databases.values()].map((database) => database.close()))
      await metricsServer?.close()
    },
  }
}

/** For a module without tables. */
const noDatabase: Database = {
  use: () => Promise.reject(new Error('this module has no database')),
  run: () => Promise.reject(new Error('this module has no database')),
  prepare: () => () => Promise.reject(new Error('this module has no database')),
  ping: async () => {},
  close: async () => {},
}
