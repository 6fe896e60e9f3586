import type { Logger } from 'pino'
import { type Config, ConfigError } from '../config.ts'
import { entryOf } from '../platform/audit/entry.ts'
import type { Shutdown } from '../platform/boot/shutdown.ts'
import { type Background, createBackground } from '../platform/concurrency/background.ts'
import type { RetryPolicy } from '../platform/concurrency/retry.ts'
import { everyEvent, queuesOf } from '../platform/contract.ts'
import { checkedHandlers, startConsumer } from '../platform/events/consumer.ts'
import { createDeadLetterRepository, type DeadLetterRepository } from '../platform/events/dead-letter-repository.ts'
import { createDeliveryLimiter, type DeliveryLimiter } from '../platform/events/delivery-limiter.ts'
import {
  type Backlog,
  createInboxRepository,
  createOutboxRepository,
  type OutboxRepository,
} from '../platform/events/outbox-repository.ts'
import { createRelay, type Relay } from '../platform/events/relay.ts'
import { withReplay } from '../platform/events/replay.ts'
import type { KeyStore } from '../platform/keys/key-store.ts'
import type { ModuleDefinition, ModuleInstance } from '../platform/module.ts'
import type { Metrics } from '../platform/observability/metrics.ts'
import { createEventQueues, type EventQueues, type QueueConsumer } from '../platform/queue/event-queues.ts'
import { complianceTags, type ModuleName, queueNames, registry, subscriptionsTo } from '../registry.ts'
import type { Databases } from './databases.ts'
import type { Definitions } from './topology.ts'

export interface EventBusOptions {
  readonly definitions: Definitions
  readonly config: Config
  readonly databases: Databases
  readonly keys: KeyStore
  readonly metrics: Metrics
  readonly log: Logger
  /** Whether requests are in flight in this process: deliveries can wait, people cannot. */
  readonly busy: () => boolean
  readonly retry: RetryPolicy
  readonly shutdown: Shutdown
}

/** From each module's outbox to the queues, and from the queues to each module's handlers. */
export interface EventBus {
  readonly queues: EventQueues
  /** The dead letters of each module of this process that consumes events. */
  readonly deadLetters: ReadonlyMap<ModuleName, DeadLetterRepository>
  readonly deliveryLimiter: DeliveryLimiter
  /** Stuck consumers, with the seconds. */
  stuck(): Readonly<Record<string, number>>
  start(modules: ReadonlyMap<ModuleName, ModuleInstance>): Promise<void>
  /** Stops consuming and dispatching; the queues stay open for events in flight. */
  stop(): Promise<void>
}

/** Queues of modules that subscribe to every event get its audit entry with it. */
const auditQueues = Object.values(registry)
  .filter(({ contract }) => (contract.subscribes as readonly string[]).includes(everyEvent))
  .map(({ contract }) => contract.name)

const registerEveryMs = 3_600_000
const registerAgainMs = 5000

const noQueues = new Proxy({} as EventQueues, {
  get: () => {
    throw new Error('this process has no event queues')
  },
})

/** Whether these modules publish or consume events; otherwise the process needs no queue. */
const movesEvents = (definitions: Definitions): boolean =>
  [...definitions.values()].some(({ contract }) => contract.subscribes.length > 0 || Object.keys(contract.events).length > 0)

/** @throws ConfigError if there is neither Redis nor a database for the queues */
export const checkTransport = (definitions: Definitions, { redisUrl, databaseUrl }: Config): void => {
  if (movesEvents(definitions) && !redisUrl && !databaseUrl)
    throw new ConfigError(['REDIS_URL is missing: events need it, or DATABASE_URL, for queues that all services share'])
}

const openQueues = async ({ definitions, config, log, retry }: EventBusOptions): Promise<EventQueues | undefined> => {
  if (!movesEvents(definitions)) return undefined
  checkTransport(definitions, config)
  const { redisUrl, databaseUrl } = config
  return createEventQueues({ redisUrl, databaseUrl, log, ...retry })
}

/**
 * Registers the subscribers repeatedly: the migration did it first, and the table forgets subscribers that no process registers.
 */
const keepRegistered = (register: () => Promise<void>, log: Logger): Background =>
  createBackground(async () => {
    try {
      await register()
      return registerEveryMs
    } catch (error) {
      log.warn({ err: error }, 'registering event subscribers failed; will retry')
      return registerAgainMs
    }
  })

/** @throws Error for a consumer without the tables for idempotency and dead letters */
const consumerTables = (definition: ModuleDefinition | undefined) => {
  if (!definition || definition.contract.subscribes.length === 0) return undefined
  const { outbox, inbox, deadLetters } = definition.tables ?? {}
  if (!outbox || !inbox || !deadLetters)
    throw new Error(`${definition.contract.name} consumes events and needs the tables outbox, inbox and deadLetters`)
  return { outbox, inbox, deadLetters }
}

/** The backlog of each subscriber, including empty ones. */
const backlogs = async (name: ModuleName, outbox: OutboxRepository): Promise<Backlog[]> => {
  const waiting = await outbox.backlog()
  const subscribers = new Set(subscriptionsTo(name).map(({ queue }) => queue))
  for (const { queue } of waiting) subscribers.delete(queue)
  return [...waiting, ...[...subscribers].map((queue) => ({ queue, depth: 0, ageSeconds: 0 }))]
}

export const createEventBus = async (options: EventBusOptions): Promise<EventBus> => {
  const { definitions, config, databases, keys, metrics, log, busy } = options
  const opened = await openQueues(options)
  if (opened) options.shutdown.add({ name: 'queues', limitMs: 1000, run: opened.close })
  const queues = opened ?? noQueues
  const deliveryLimiter = createDeliveryLimiter(busy)
  const relays = new Map<ModuleName, Relay>()
  const registrations: Background[] = []
  /** By queue. */
  const consumers = new Map<string, QueueConsumer>()

  for (const [name, { tables }] of definitions) {
    if (!tables) continue
    const outbox = createOutboxRepository(databases.of(name), tables.outbox)
    const sign = (event: Parameters<typeof entryOf>[2]) => entryOf(keys, name, event, complianceTags)
    const relay = createRelay({ outbox, queues, known: queueNames, auditQueues, sign, log })
    opened?.onUp(relay.recheck)
    databases.connectRelay(name, relay.wake)
    relays.set(name, relay)
    registrations.push(keepRegistered(() => outbox.register(subscriptionsTo(name)), log))
    metrics.outbox(name, () => backlogs(name, outbox))
  }

  const deadLettersOf = new Map<ModuleName, DeadLetterRepository>()
  for (const [name, definition] of definitions) {
    const tables = consumerTables(definition)
    if (tables) deadLettersOf.set(name, createDeadLetterRepository(databases.of(name), tables.deadLetters, tables.outbox))
  }

  const consume = async (name: ModuleName, { handlers: own }: ModuleInstance): Promise<void> => {
    const tables = consumerTables(definitions.get(name))
    const deadLetters = deadLettersOf.get(name)
    if (!opened || !tables || !deadLetters) return
    const { contract, publishers = [] } = definitions.get(name) as ModuleDefinition
    const handlers = withReplay(name, checkedHandlers(contract, [contract, ...publishers], own ?? {}), opened, deadLetters)
    const inbox = createInboxRepository(databases.of(name), tables.inbox, tables.deadLetters)
    metrics.deadLetters(name, deadLetters.count)
    const repositories = { deadLetters, inbox }
    const options = { handlers, queues, deliveryLimiter, concurrency: config.workers, log: log.child({ module: name }) }
    for (const [queue] of queuesOf(registry[name].contract)) {
      const stuckSeconds = async () => consumers.get(queue)?.stuckSeconds() ?? 0
      metrics.queue(queue, () => opened.counts(queue), stuckSeconds)
      consumers.set(queue, await startConsumer({ name: queue, ...options, ...repositories }))
    }
  }

  return {
    queues,
    deadLetters: deadLettersOf,
    deliveryLimiter,
    stuck: () =>
      Object.fromEntries(
        [...consumers].map(([name, { stuckSeconds }]) => [name, stuckSeconds()] as const).filter(([, seconds]) => seconds > 0),
      ),
    start: async (modules) => {
      for (const registration of registrations) registration.start()
      for (const [name, parts] of modules) await consume(name, parts)
      for (const relay of relays.values()) relay.start()
    },
    stop: async () => {
      await Promise.allSettled([...consumers.values()].map((consumer) => consumer.close()))
      await Promise.allSettled([...relays.values(), ...registrations].map((one) => one.close()))
    },
  }
}
