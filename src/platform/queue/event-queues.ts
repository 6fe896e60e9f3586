import { Queue } from 'bullmq'
import type { Logger } from 'pino'
import { endsWithin } from '../concurrency/deadline.ts'
import { isConnectionError } from '../connection-error.ts'
import type { DeliveryState, QueueBackend, QueueMessage } from './backend.ts'
import { watchIdleness } from './idle-watch.ts'
import { createPostgresTransport } from './postgres-backend.ts'
import { createRedisTransport } from './redis-backend.ts'
import { type Concurrency, type Delivery, startWorker } from './worker.ts'

export type { Delivery, DeliveryState, QueueMessage }

export interface QueueConsumer {
  /** For how long it has taken no job while jobs wait, once that is too long; otherwise 0. */
  stuckSeconds(): number
  close(): Promise<void>
}

export interface EventQueues {
  readonly backend: 'redis' | 'postgres'
  /** Adds one job per message; a message whose job exists is ignored. Rejects within about a second when the queue is down. */
  publish(queue: string, messages: readonly QueueMessage[]): Promise<void>
  /** The state of every given id; `missing` is a job that was never added, was lost, or was removed long after its end. */
  states(queue: string, ids: readonly string[]): Promise<Map<string, DeliveryState>>
  /** Runs failed jobs again from attempt 1; ids that are not failed are ignored. */
  retryFailed(queue: string, ids: readonly string[]): Promise<void>
  /** Queues a message again whose job has ended; one that is still to run is ignored. */
  redeliver(queue: string, message: QueueMessage): Promise<void>
  /**
   * Calls back with small batches of ids whose jobs have completed, some of them shortly before the call, some perhaps twice.
   * Best effort: `states` is the source of truth.
   */
  onCompleted(queue: string, listener: (ids: string[]) => void): Promise<() => Promise<void>>
  /** Runs the handler for each job; a rejection is a failed attempt. `close` waits a few seconds for running handlers. */
  consume(queue: string, handler: (delivery: Delivery) => Promise<void>, options: Concurrency): Promise<QueueConsumer>
  /** Calls back each time that the queue was down and is up again: its jobs may be lost. */
  onUp(listener: () => void): void
  counts(queue: string): Promise<{ waiting: number; active: number; delayed: number; failed: number }>
  close(): Promise<void>
}

export interface EventQueuesOptions {
  redisUrl?: string | undefined
  databaseUrl?: string | undefined
  prefix?: string | undefined
  attempts?: number
  backoffMs?: number
  longestBackoffMs?: number
  lockMs?: number
  stalledMs?: number
  log: Pick<Logger, 'info' | 'warn' | 'error'>
}

const largestBatch = 500
const completedWindowMs = 25
const retentionSeconds = 3_600

const chunksOf = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))

/**
 * Opens the queues on Redis if `redisUrl` is given, otherwise on PostgreSQL (schema `bullmq`, migrated here). An unreachable
 * Redis is no error; one that evicts keys is, and so is an unreachable PostgreSQL. Times are in milliseconds; a job of a killed
 * worker runs elsewhere within `lockMs + stalledMs`.
 */
export const createEventQueues = async (options: EventQueuesOptions): Promise<EventQueues> => {
  const { prefix, attempts = 8, backoffMs = 500, longestBackoffMs = 30_000, lockMs = 10_000, stalledMs = 5_000, log } = options
  if (!options.redisUrl && !options.databaseUrl) throw new Error('The queues need a redisUrl or a databaseUrl')
  const transport: QueueBackend = options.redisUrl
    ? await createRedisTransport({ url: options.redisUrl, prefix, log })
    : await createPostgresTransport({ url: options.databaseUrl ?? '', prefix, log })
  const common = { connection: {}, ...(transport.keyPrefix && { prefix: transport.keyPrefix }) }
  const jobOptions = {
    attempts,
    backoff: { type: 'capped' },
    removeOnComplete: { age: retentionSeconds, ...(transport.keepCompleted && { count: transport.keepCompleted }) },
    removeOnFail: false,
    stackTraceLimit: 1,
  }
  const open = new Set<() => Promise<void>>()
  let lastComplaint = 0

  // The queue backend logs its own outages once; a burst of other errors must not flood the log either.
  const complain = (queue: string) => (error: Error) => {
    if (!transport.up() || isConnectionError(error) || Date.now() - lastComplaint < 1_000) return
    lastComplaint = Date.now()
    log.warn({ err: error, queue }, 'queue: %s', error.message)
  }

  const opened = (close: () => Promise<void>) => {
    const once = () => {
      open.delete(once)
      return close()
    }
    open.add(once)
    return once
  }

  const producers = new Map<string, Promise<ReturnType<typeof createProducer>>>()
  const createProducer = (queue: string) => {
    const producer = new Queue(
      transport.nameOf(queue),
      { ...common, defaultJobOptions: jobOptions, skipVersionCheck: true, skipWaitingForReady: true, skipMetasUpdate: true },
      transport.factory,
    )
    producer.on('error', complain(queue))
    return producer
  }
  const producerOf = (queue: string) => {
    const known = producers.get(queue)
    if (known) return known
    const producer = createProducer(queue)
    const ready = producer.waitUntilReady().then(() => producer)
    producers.set(queue, ready)
    // BullMQ caches a failed start for ever, so the next call gets a new instance.
    ready.catch(() => {
      producers.delete(queue)
      return producer.close().catch(() => {})
    })
    return ready
  }

  const publish: EventQueues['publish'] = async (queue, messages) => {
    if (messages.length === 0) return
    const producer = await producerOf(queue)
    const [first] = messages
    transport.expect?.(
      queue,
      messages.map(({ id }) => id),
    )
    // On PostgreSQL a bulk insert creates temporary tables, which costs more than a single message.
    if (messages.length === 1 && first) await producer.add('event', first.payload, { jobId: first.id })
    else
      for (const chunk of chunksOf(messages, largestBatch))
        await producer.addBulk(chunk.map(({ id, payload }) => ({ name: 'event', data: payload, opts: { jobId: id } })))
  }

  const retryFailed: EventQueues['retryFailed'] = async (queue, ids) => {
    const producer = await producerOf(queue)
    const states = await transport.states(queue, ids)
    const failed = ids.filter((id) => states.get(id) === 'failed')
    await Promise.all(
      failed.map(async (id) => {
        const job = await producer.getJob(id)
        await job?.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true }).catch(async (error: unknown) => {
          // Another process may have retried it between the two calls.
          if ((await transport.states(queue, [id])).get(id) === 'failed') throw error
        })
      }),
    )
  }

  const redeliver: EventQueues['redeliver'] = async (queue, message) => {
    const state = (await transport.states(queue, [message.id])).get(message.id)
    if (state === 'completed' || state === 'failed') await (await producerOf(queue)).remove(message.id)
    await publish(queue, [message])
  }

  const onCompleted: EventQueues['onCompleted'] = async (queue, listener) => {
    let batch = new Set<string>()
    let timer: NodeJS.Timeout | undefined
    const flush = () => {
      const ids = [...batch]
      batch = new Set()
      timer = undefined
      try {
        listener(ids)
      } catch (error) {
        log.error({ err: error, queue }, 'queue: the listener for completed jobs failed')
      }
    }
    const tell = (id: string) => {
      batch.add(id)
      timer ??= setTimeout(flush, completedWindowMs)
    }
    const stop = await transport.completions(queue, tell, complain(queue))
    return opened(async () => {
      await stop()
      clearTimeout(timer)
    })
  }

  const consume: EventQueues['consume'] = async (queue, handler, concurrency) => {
    const watch = watchIdleness({ queue, waits: () => transport.waits(queue), log })
    const settings = { ...concurrency, backoffMs, longestBackoffMs, lockMs, stalledMs, watch, complain: complain(queue) }
    const consumer = await startWorker(transport, queue, handler, settings)
    return { stuckSeconds: watch.stuckSeconds, close: opened(consumer.close) }
  }

  const counts: EventQueues['counts'] = async (queue) => {
    const producer = await producerOf(queue)
    const { wait = 0, active = 0, delayed = 0, failed = 0 } = await producer.getJobCounts('wait', 'active', 'delayed', 'failed')
    return { waiting: wait, active, delayed, failed }
  }

  const close = async () => {
    await Promise.allSettled([...open].map((end) => end()))
    const made = await Promise.allSettled(producers.values())
    await Promise.allSettled(made.map((one) => (one.status === 'fulfilled' ? endsWithin(1_000, one.value.close()) : undefined)))
    await transport.close()
  }

  return {
    backend: transport.backend,
    publish,
    states: (queue, ids) => (ids.length === 0 ? Promise.resolve(new Map()) : transport.states(queue, ids)),
    retryFailed,
    redeliver,
    onCompleted,
    consume,
    onUp: transport.onUp,
    counts,
    close,
  }
}
