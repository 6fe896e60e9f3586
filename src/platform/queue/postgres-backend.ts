import { setTimeout } from 'node:timers/promises'
import { createPostgresBackend } from 'bullmq'
import { endsWithin } from '../concurrency/deadline.ts'
import { isConnectionError } from '../connection-error.ts'
import { createAvailability, type DeliveryState, overdueMs, type QueueBackend, type QueueBackendOptions } from './backend.ts'
import { createCompletions } from './postgres-completions.ts'
import { withHeartbeat } from './postgres-heartbeat.ts'
import { createPostgresPools, type PostgresPool } from './postgres-pool.ts'
import { schema, upToDate } from './postgres-schema.ts'
import { createServerClock } from './server-clock.ts'

const pollMs = 2_000
/** An idle worker polls after this time, also when its next delayed job is far in the future. */
const longestBlockSeconds = 5
/** 57014: the statement took too long, for example because the server is overloaded. */
const retryable = new Set(['40001', '40P01', '57014'])
const stateOf: Record<string, DeliveryState> = { completed: 'completed', failed: 'failed' }

/** Opens the pools and migrates the schema `bullmq` (safe in several processes at once). Rejects if that fails. */
export const createPostgresTransport = async ({ url, prefix, log }: QueueBackendOptions): Promise<QueueBackend> => {
  const availability = createAvailability('postgres', log)
  const clock = createServerClock()
  const pools = createPostgresPools(url, schema, clock)
  const producers = pools.open({ max: 2, connectMs: 1_000, statementMs: 3_000 }, () => void probe())
  const consumers = pools.open({ max: 4, connectMs: 3_000, statementMs: 5_000 }, () => void probe())
  const nameOf = (queue: string) => (prefix ? `${prefix}.${queue}` : queue)
  let closing = false
  let probing = false

  const probe = async () => {
    if (probing) return
    probing = true
    while (!closing) {
      try {
        await producers.query('select 1')
        availability.up()
        break
      } catch (error) {
        availability.down(error)
        await setTimeout(500, undefined, { ref: false })
      }
    }
    probing = false
  }
  const noticed = (error: unknown): never => {
    if (isConnectionError(error) && !closing) void probe()
    throw error
  }

  /** The times in BullMQ's results that a worker compares with its own clock. */
  const inOurTime = (row: Record<string, unknown>) =>
    row.next_delay == null ? row : { ...row, next_delay: String(clock.fromServer(Number(row.next_delay))) }
  const ask = async (pool: PostgresPool, text: string, params: readonly unknown[] = []) => {
    // BullMQ writes the times of its process; several processes compare them, so they are converted to the server's.
    const result = await pool.query<Record<string, unknown>>(text, params.map(clock.toServer))
    return { ...result, rows: result.rows.map(inOurTime) }
  }

  // BullMQ waits and retries only after this code; any other error would count as a failed attempt of the job.
  const asRefused = (error: unknown): never => {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    if (!isConnectionError(error) && !retryable.has(code)) throw error
    throw Object.assign(new Error(error instanceof Error ? error.message : String(error)), { code: 'ECONNREFUSED' })
  }
  const poolFor = (pool: PostgresPool, mapped: (error: unknown) => never) => {
    const fail = (error: unknown): never => {
      try {
        return noticed(error)
      } catch (same) {
        return mapped(same)
      }
    }
    const facade = {
      query: (text: string, params?: readonly unknown[]) => ask(pool, text, params).catch(fail),
      connect: () =>
        pool
          .connect()
          .then((client) => withHeartbeat(client, pools.check))
          .catch(fail),
      end: () => Promise.resolve(),
      on: () => facade,
      removeAllListeners: () => facade,
      options: { keepAlive: true },
    }
    return facade
  }
  const forProducers = poolFor(producers, (error) => {
    throw error
  })
  const forConsumers = poolFor(consumers, asRefused)

  const completions = createCompletions({ pool: consumers, check: pools.check, schema, pollMs })

  const close = async () => {
    closing = true
    await completions.close()
    await endsWithin(2_000, Promise.allSettled([producers.end(), consumers.end()]))
  }

  try {
    await upToDate(pools)
  } catch (error) {
    await close()
    throw error
  }

  const states = async (queue: string, ids: readonly string[]) => {
    const { rows } = await producers
      .query<{ id: string; state: string }>(
        `select id, state::text as state from ${schema}.job where queue = $1 and id = any($2::text[])`,
        [nameOf(queue), ids],
      )
      .catch(noticed)
    const found = new Map(rows.map(({ id, state }) => [id, stateOf[state] ?? 'pending']))
    return new Map(ids.map((id): [string, DeliveryState] => [id, found.get(id) ?? 'missing']))
  }

  const waits = async (queue: string) => {
    const { rows } = await producers.query<{ some: boolean }>(
      `select exists (select from ${schema}.job where queue = $1 and state = 'waiting')
           or exists (select from ${schema}.job where queue = $1 and state = 'delayed'
                         and process_at_ms < extract(epoch from clock_timestamp()) * 1000 - $2::int) as some`,
      [nameOf(queue), overdueMs],
    )
    return rows[0]?.some ?? false
  }

  return {
    backend: 'postgres',
    factory: (name, options, kind = {}) => {
      const listens = kind.blocking || kind.withBlockingConnection
      // A LISTEN occupies a connection of the pool.
      if (listens) consumers.grow()
      const backend = createPostgresBackend(name, { ...options, connection: listens ? forConsumers : forProducers }, kind)
      return Object.defineProperty(backend, 'maximumBlockTimeout', { value: longestBlockSeconds })
    },
    // A count would make BullMQ read all kept jobs at the end of each one.
    pollMs,
    nameOf,
    states,
    waits,
    expect: (queue, ids) => completions.expect(nameOf(queue), ids),
    completions: (queue, tell, complain) => completions.follow(nameOf(queue), tell, complain),
    started: (one) => one.waitUntilReady(),
    up: availability.isUp,
    onUp: availability.onUp,
    close,
  }
}
