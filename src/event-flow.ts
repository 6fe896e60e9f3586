import type { Logger } from 'pino'
import { type Config, ConfigError } from './config.ts'
import type { Databases } from './databases.ts'
import { entryOf } from './platform/audit/entry.ts'
import { everyEvent } from './platform/contract.ts'
import { startConsumer } from './platform/events/consumer.ts'
import { createRelay, type Relay } from './platform/events/relay.ts'
import { createDeadLetterRepository, createInboxRepository, createOutboxRepository } from './platform/events/repository.ts'
import { createTurns } from './platform/events/turns.ts'
import type { KeyStore } from './platform/keys/key-store.ts'
import type { Metrics } from './platform/metrics.ts'
import type { Parts } from './platform/module.ts'
import { createEventQueues, type EventQueues, type QueueConsumer } from './platform/queue.ts'
import { eventRoutes, type ModuleName, registry } from './registry.ts'
import type { Definitions } from './topology.ts'

export interface EventFlowOptions {
  readonly definitions: Definitions
  readonly config: Config
  readonly databases: Databases
  readonly keys: KeyStore
  readonly metrics: Metrics
  readonly log: Logger
  /** Whether somebody waits for an answer of this process: deliveries can wait, people cannot. */
  readonly busy: () => boolean
  /** How often an event is tried, and the wait after the first failure in milliseconds. */
  readonly attempts?: number
  readonly backoffMs?: number
}

/** From each module's outbox to the queues, and from the queues to each module's handlers. */
export interface EventFlow {
  readonly queues: EventQueues
  /** The module has committed an event. */
  nudge(name: ModuleName): void
  /** Consumers that take nothing while jobs wait, with the seconds that it has been so. */
  stuck(): Readonly<Record<string, number>>
  start(modules: ReadonlyMap<ModuleName, Parts>): Promise<void>
  /** Takes and hands over no more; the queues stay open for what is still under way. */
  stop(): Promise<void>
  close(): Promise<void>
}

/** Queues of modules that take every event take its audit entry with it. */
const signedFor = Object.values(registry)
  .filter(({ contract }) => (contract.subscribes as readonly string[]).includes(everyEvent))
  .map(({ contract }) => contract.name)

const noQueues = new Proxy({} as EventQueues, {
  get: () => {
    throw new Error('this process has no event queues')
  },
})

/** Whether events come from or go to these modules; a process without either needs no transport. */
const movesEvents = (definitions: Definitions): boolean =>
  [...definitions.values()].some(
    ({ contract }) =>
      contract.subscribes.length > 0 || Object.keys(contract.events).some((type) => (eventRoutes[type] ?? []).length > 0),
  )

/** @throws ConfigError where events have nothing to travel on */
export const checkTransport = (definitions: Definitions, { redisUrl, databaseUrl }: Config): void => {
  if (movesEvents(definitions) && !redisUrl && !databaseUrl)
    throw new ConfigError(['REDIS_URL is missing: events need it, or DATABASE_URL, as a transport that all services share'])
}

const openQueues = async ({
  definitions,
  config,
  log,
  attempts,
  backoffMs,
}: EventFlowOptions): Promise<EventQueues | undefined> => {
  if (!movesEvents(definitions)) return undefined
  checkTransport(definitions, config)
  const { redisUrl, databaseUrl } = config
  return createEventQueues({
    redisUrl,
    databaseUrl,
    log,
    ...(attempts === undefined ? {} : { attempts }),
    ...(backoffMs === undefined ? {} : { backoffMs }),
  })
}

export const createEventFlow = async (options: EventFlowOptions): Promise<EventFlow> => {
  const { definitions, config, databases, keys, metrics, log, busy } = options
  const opened = await openQueues(options)
  const queues = opened ?? noQueues
  const turns = createTurns(busy)
  const relays = new Map<ModuleName, Relay>()
  const consumers = new Map<ModuleName, QueueConsumer>()

  for (const [name, { tables }] of definitions) {
    if (!tables) continue
    const outbox = createOutboxRepository(databases.of(name), tables.outbox, eventRoutes)
    const sign = (event: Parameters<typeof entryOf>[2]) => entryOf(keys, name, event)
    const relay = createRelay({ outbox, queues, routes: eventRoutes, signedFor, sign, log })
    opened?.onBack(relay.recheck)
    relays.set(name, relay)
    metrics.outbox(name, outbox.backlog)
  }

  const consume = async (name: ModuleName, { handlers }: Parts): Promise<void> => {
    const tables = definitions.get(name)?.tables
    if (!handlers || !opened || !tables?.deadLetters || !tables.inbox) return
    const deadLetters = createDeadLetterRepository(databases.of(name), tables.deadLetters, tables.outbox)
    const inbox = createInboxRepository(databases.of(name), tables.inbox)
    const stuckSeconds = async () => consumers.get(name)?.stuckSeconds() ?? 0
    metrics.consumer(name, deadLetters.count, () => opened.counts(name), stuckSeconds)
    const own = { handlers, deadLetters, inbox, log: log.child({ module: name }) }
    consumers.set(name, await startConsumer({ name, queues, turns, concurrency: config.workers, ...own }))
  }

  return {
    queues,
    nudge: (name) => relays.get(name)?.nudge(),
    stuck: () =>
      Object.fromEntries(
        [...consumers].map(([name, { stuckSeconds }]) => [name, stuckSeconds()] as const).filter(([, seconds]) => seconds > 0),
      ),
    start: async (modules) => {
      for (const [name, parts] of modules) await consume(name, parts)
      for (const relay of relays.values()) relay.start()
    },
    stop: async () => {
      await Promise.allSettled([...consumers.values()].map((consumer) => consumer.close()))
      await Promise.allSettled([...relays.values()].map((relay) => relay.close()))
    },
    close: async () => {
      await opened?.close()
    },
  }
}
