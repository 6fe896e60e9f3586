import { createRedisBackend, QueueEvents } from 'bullmq'
import { Redis, type RedisOptions } from 'ioredis'
import { endsWithin } from '../concurrency/deadline.ts'
import { backoffAfter } from '../concurrency/retry.ts'
import { createAvailability, type DeliveryState, overdueMs, type QueueBackend, type QueueBackendOptions } from './backend.ts'

const pollMs = 2_000
const retryStrategy = (times: number) => backoffAfter(times, { backoffMs: 50, longestBackoffMs: 1_000 })

/** Errors of a server that accepts no writes, or not yet: a replica, a demoted primary, a server that loads its files. */
const notPrimary = /\b(READONLY|LOADING|MASTERDOWN|UNBLOCKED)\b/
const checkRoleMs = 5_000

const isPrimary = (info: Readonly<Record<string, unknown>>) => info.role === undefined || info.role === 'master'

/** Opens the connections to Redis. Rejects only if Redis responds and may evict keys. */
export const createRedisTransport = async ({ url, prefix = 'bull', log }: QueueBackendOptions): Promise<QueueBackend> => {
  const availability = createAvailability('redis', log)
  const sockets = new Set<Redis>()
  let lastError: Error | undefined
  let closing = false

  /** The server was demoted and still responds: another one is behind the address, now or soon. */
  const moveAll = () => {
    for (const redis of sockets) if (redis.status === 'ready') redis.disconnect(true)
  }

  const track = (redis: Redis): Redis => {
    sockets.add(redis)
    // Checked with the server's INFO before a connection is ready: commands wait until it leads to a primary.
    const { connector } = redis as unknown as { connector: { check(info: Record<string, unknown>): boolean } }
    connector.check = isPrimary
    redis.on('error', (error: Error) => {
      lastError = error
    })
    redis.once('end', () => sockets.delete(redis))
    // Not 0 (no limit): BullMQ raises the limit by 3 while it waits, and four listeners exceed 0 + 3.
    redis.setMaxListeners(Number.POSITIVE_INFINITY)
    const duplicate = redis.duplicate.bind(redis)
    // BullMQ duplicates it for blocking reads, which are silent while nothing happens.
    redis.duplicate = (override?: Partial<RedisOptions>) => track(duplicate({ ...override, socketTimeout: 15_000 }))
    return redis
  }

  const reconnectOnError = (resend: 2 | false) => (error: Error) => {
    if (!notPrimary.test(error.message)) return false
    lastError = error
    setImmediate(moveAll)
    return resend || 1
  }

  const producer = track(
    new Redis(url, {
      retryStrategy,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      connectTimeout: 1_000,
      socketTimeout: 1_000,
      maxLoadingRetryTime: 1_000,
      reconnectOnError: reconnectOnError(false),
    }),
  )
  let shared: Redis | undefined
  const consumer = () => {
    shared ??= track(
      new Redis(url, {
        retryStrategy,
        maxRetriesPerRequest: null,
        connectTimeout: 2_000,
        socketTimeout: 5_000,
        maxLoadingRetryTime: 1_000,
        // A worker's report must not fail: the error would count as a failed attempt of the job.
        reconnectOnError: reconnectOnError(2),
      }),
    )
    return shared
  }

  const eviction = async (): Promise<Error | undefined> => {
    const policy = /^maxmemory_policy:(\S+)/m.exec(await producer.info('memory'))?.[1]
    if (policy === undefined || policy === 'noeviction') return undefined
    return new Error(`Redis may evict queued events: its maxmemory-policy is ${policy} and must be noeviction`)
  }

  // A connection that only reads would never get an error, and there may be no write for hours.
  const checking = setInterval(() => {
    if (producer.status !== 'ready') return
    producer.info('replication').then(
      (text) => /^role:slave/m.test(text) && moveAll(),
      () => {},
    )
  }, checkRoleMs).unref()

  const close = async () => {
    closing = true
    clearInterval(checking)
    for (const redis of sockets) redis.disconnect()
  }

  const reached = await new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => resolve(false), 2_000)
    const settle = (value: boolean) => {
      clearTimeout(timer)
      resolve(value)
    }
    producer.once('ready', () => settle(true))
    producer.once('close', () => settle(false))
  })
  const refusal = reached ? await eviction().catch(() => undefined) : undefined
  if (refusal) {
    await close()
    throw refusal
  }
  if (producer.status !== 'ready') availability.down(lastError)

  producer.on('close', () => {
    if (!closing) availability.down(lastError)
  })
  producer.on('ready', () => {
    availability.up()
    eviction()
      .then((error) => error && log.error(error.message))
      .catch(() => {})
  })

  const states = async (queue: string, ids: readonly string[]) => {
    const key = (part: string) => `${prefix}:${queue}:${part}`
    const replies = await producer
      .pipeline([
        ...ids.map((id) => ['exists', key(id)]),
        ['zmscore', key('completed'), ...ids],
        ['zmscore', key('failed'), ...ids],
      ])
      .exec()
    const values = (replies ?? []).map(([error, value]) => {
      if (error) throw error
      return value
    })
    const [completed, failed] = values.slice(ids.length).map((scores) => (Array.isArray(scores) ? scores : []))
    return new Map(
      ids.map((id, i): [string, DeliveryState] => {
        if ((completed?.[i] ?? null) !== null) return [id, 'completed']
        if ((failed?.[i] ?? null) !== null) return [id, 'failed']
        return [id, values[i] === 1 ? 'pending' : 'missing']
      }),
    )
  }

  const waits: QueueBackend['waits'] = async (queue) => {
    const due = (Date.now() - overdueMs) * 0x1000
    const counts = await Promise.all([
      producer.llen(`${prefix}:${queue}:wait`),
      producer.zcount(`${prefix}:${queue}:delayed`, '-inf', due),
    ])
    return counts.some((count) => count > 0)
  }

  const factory: QueueBackend['factory'] = (name, options, kind = {}) => {
    const blocks = kind.blocking || kind.withBlockingConnection
    return createRedisBackend(name, { ...options, connection: blocks ? consumer() : producer }, kind)
  }

  const completions: QueueBackend['completions'] = async (queue, tell, complain) => {
    // Without a first id, BullMQ reads only events that happen during a read, and loses the others.
    const where = { connection: {}, prefix, blockingTimeout: pollMs, lastEventId: '0' }
    const events = new QueueEvents(queue, where, factory)
    events.on('error', complain)
    events.on('completed', ({ jobId }) => tell(jobId))
    // Its own close waits for a connection that may never come.
    return async () => {
      await endsWithin(1_000, events.close())
    }
  }

  return {
    backend: 'redis',
    factory,
    keyPrefix: prefix,
    keepCompleted: 10_000,
    pollMs,
    nameOf: (queue) => queue,
    states,
    waits,
    completions,
    // It starts by itself when Redis is reachable, which may be much later.
    started: () => Promise.resolve(),
    up: () => producer.status === 'ready',
    onUp: availability.onUp,
    close,
  }
}
