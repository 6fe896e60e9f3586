import { setTimeout as wait } from 'node:timers/promises'
import type pg from 'pg'

const windowMs = 50
const overlapMs = 1_000
const lookBackMs = 10_000
const reconnectMs = 500

/**
 * Follows completed jobs by their rows. BullMQ's own event stream is read by a growing id, and ids become visible out of
 * order when jobs end at the same time, so about one event in ten is lost that way.
 * One connection listens for all queues; `follow` reads anew on each notification and every `pollMs`.
 */
export const createCompletions = ({ pool, schema, pollMs }: { pool: pg.Pool; schema: string; pollMs: number }) => {
  const nudges = new Map<string, Set<() => void>>()
  const closing = new AbortController()
  let listening: Promise<void> | undefined

  const nudge = (queue?: string) => {
    for (const [name, ones] of nudges) if (queue === undefined || queue === name) for (const one of ones) one()
  }

  const listenOnce = async () => {
    const client = await pool.connect()
    try {
      const lost = new Promise<void>((resolve) => {
        client.once('end', resolve)
        client.on('error', () => resolve())
        closing.signal.addEventListener('abort', () => resolve(), { once: true })
      })
      client.on('notification', ({ payload }) => nudge(payload))
      await client.query('listen bullmq_events')
      nudge()
      await lost
    } finally {
      client.release(true)
    }
  }

  const listen = async () => {
    pool.options.max += 1
    while (!closing.signal.aborted) {
      await listenOnce().catch(() => {})
      await wait(reconnectMs, undefined, { signal: closing.signal }).catch(() => {})
    }
  }

  const follow = async (queue: string, tell: (id: string) => void, complain: (error: Error) => void) => {
    listening ??= listen()
    const stopping = new AbortController()
    const ended = AbortSignal.any([closing.signal, stopping.signal])
    const told = new Map<string, number>()
    let newest = Date.now() - lookBackMs
    let again = Promise.withResolvers<void>()
    const one = () => again.resolve()
    const ones = nudges.get(queue) ?? new Set()
    nudges.set(queue, ones.add(one))

    const read = async () => {
      const since = newest - overlapMs
      const { rows } = await pool.query<{ id: string; at: string }>(
        `select id, finished_at_ms as at from ${schema}.job where queue = $1 and state = 'completed' and finished_at_ms > $2`,
        [queue, since],
      )
      for (const [id, at] of told) if (at <= since) told.delete(id)
      const fresh = rows.filter(({ id, at }) => told.get(id) !== Number(at))
      for (const { id, at } of fresh) {
        told.set(id, Number(at))
        newest = Math.max(newest, Number(at))
        tell(id)
      }
      return fresh.length
    }

    const run = async () => {
      while (!ended.aborted) {
        again = Promise.withResolvers()
        // A job whose row became visible after the read has its notification left out while another commits.
        const found = await read().catch((error: Error) => {
          complain(error)
          return 0
        })
        const pause = new AbortController()
        const poll = wait(pollMs, undefined, { signal: AbortSignal.any([ended, pause.signal]) }).catch(() => {})
        if (found === 0) await Promise.race([again.promise, poll])
        pause.abort()
        await wait(windowMs, undefined, { signal: ended }).catch(() => {})
      }
    }
    const running = run()
    return async () => {
      stopping.abort()
      ones.delete(one)
      await running
    }
  }

  return {
    follow,
    close: async () => {
      closing.abort()
      await listening
    },
  }
}
