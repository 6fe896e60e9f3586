import { setTimeout } from 'node:timers/promises'
import { createPostgresBackend } from 'bullmq'
import pg from 'pg'
import { createCompletions } from './queue-postgres-completions.ts'
import { bringUpToDate, schema } from './queue-postgres-schema.ts'
import { createPresence, type DeliveryState, isAway, type Transport, type TransportOptions, within } from './queue-transport.ts'

const pollMs = 2_000
const retryable = new Set(['40001', '40P01'])
const stateOf: Record<string, DeliveryState> = { completed: 'completed', failed: 'failed' }

/** Opens the pools and brings the schema `bullmq` up to date (safe from several processes at once). Rejects when that fails. */
export const createPostgresTransport = async ({ url, prefix, log }: TransportOptions): Promise<Transport> => {
  const presence = createPresence('postgres', log)
  // No wait for the disk: what a crash of the server takes from a queue, the outbox and the inboxes make good.
  const settings = `-c search_path=${schema} -c synchronous_commit=off`
  const base = { connectionString: url, options: settings, keepAlive: true, application_name: 'orderhub-queue' }
  const producers = new pg.Pool({ ...base, max: 2, connectionTimeoutMillis: 1_000, query_timeout: 2_000 })
  const consumers = new pg.Pool({ ...base, max: 4, connectionTimeoutMillis: 5_000, keepAliveInitialDelayMillis: 10_000 })
  const nameOf = (queue: string) => (prefix ? `${prefix}.${queue}` : queue)
  let closing = false
  let probing = false

  const probe = async () => {
    if (probing) return
    probing = true
    while (!closing) {
      try {
        await producers.query('select 1')
        presence.back()
        break
      } catch (error) {
        presence.away(error)
        await setTimeout(500, undefined, { ref: false })
      }
    }
    probing = false
  }
  const noticed = (error: unknown): never => {
    if (isAway(error) && !closing) void probe()
    throw error
  }
  for (const pool of [producers, consumers]) pool.on('error', () => void probe())

  // BullMQ waits and tries again only after this code; anything else would count as a fault of the job.
  const asRefused = (error: unknown): never => {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    if (!isAway(error) && !retryable.has(code)) throw error
    throw Object.assign(new Error(error instanceof Error ? error.message : String(error)), { code: 'ECONNREFUSED' })
  }
  const poolFor = (pool: pg.Pool, mapped: (error: unknown) => never) => {
    const fail = (error: unknown): never => {
      try {
        return noticed(error)
      } catch (same) {
        return mapped(same)
      }
    }
    const facade = {
      query: (text: string, params?: readonly unknown[]) => pool.query(text, params as unknown[]).catch(fail),
      connect: () => pool.connect().catch(fail),
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

  const completions = createCompletions({ pool: consumers, schema, pollMs })

  const close = async () => {
    closing = true
    await completions.close()
    await within(2_000, Promise.allSettled([producers.end(), consumers.end()]))
  }

  try {
    const client = await consumers.connect()
    await bringUpToDate(client).finally(() => client.release())
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

  return {
    backend: 'postgres',
    factory: (name, options, kind = {}) => {
      const listens = kind.blocking || kind.withBlockingConnection
      // A LISTEN keeps a connection of the pool for itself.
      if (listens) consumers.options.max += 1
      return createPostgresBackend(name, { ...options, connection: listens ? forConsumers : forProducers }, kind)
    },
    // A count would make BullMQ read all kept jobs at the end of each one.
    pollMs,
    nameOf,
    states,
    completions: (queue, tell, complain) => completions.follow(nameOf(queue), tell, complain),
    started: (one) => one.waitUntilReady(),
    up: presence.isUp,
    onBack: presence.onBack,
    close,
  }
}
