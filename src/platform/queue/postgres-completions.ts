import { setTimeout as wait } from 'node:timers/promises'
import { withHeartbeat } from './postgres-heartbeat.ts'
import type { PostgresPool, PostgresPools } from './postgres-pool.ts'

const windowMs = 50
const reconnectMs = 500
/** Maximum jobs per queue that are watched, and for how long: the relay checks longer ones itself. */
const mostExpected = 5_000
const expectedForMs = 120_000

interface Completions {
  /** Jobs that this process dispatches: it watches for their end. */
  expect(queue: string, ids: readonly string[]): void
  follow(queue: string, tell: (id: string) => void, complain: (error: Error) => void): Promise<() => Promise<void>>
  close(): Promise<void>
}

/**
 * Detects the ends of jobs by querying the ids that this process dispatched. BullMQ's event stream and the times in the rows are
 * not enough: the ids of events become visible out of order when jobs end together, so about one in ten is lost, and the times
 * are from the clocks of the workers. One connection listens for all queues; each is read on a notification and every `pollMs`.
 */
export const createCompletions = ({
  pool,
  check,
  schema,
  pollMs,
}: {
  pool: PostgresPool
  check: PostgresPools['check']
  schema: string
  pollMs: number
}): Completions => {
  const nudges = new Map<string, Set<() => void>>()
  const expected = new Map<string, Map<string, number>>()
  const tellers = new Map<string, Set<(id: string) => void>>()
  const closing = new AbortController()
  let listening: Promise<void> | undefined

  const wake = (queue?: string) => {
    for (const [name, ones] of nudges) if (queue === undefined || queue === name) for (const one of ones) one()
  }

  const listenOnce = async () => {
    const client = withHeartbeat(await pool.connect(), check)
    try {
      const lost = new Promise<void>((resolve) => {
        client.once('end', resolve)
        client.on('error', () => resolve())
        closing.signal.addEventListener('abort', () => resolve(), { once: true })
      })
      client.on('notification', ({ payload }) => wake(payload))
      await client.query('listen bullmq_events')
      wake()
      await lost
    } finally {
      client.release(true)
    }
  }

  const listen = async () => {
    pool.grow()
    while (!closing.signal.aborted) {
      await listenOnce().catch(() => {})
      await wait(reconnectMs, undefined, { signal: closing.signal }).catch(() => {})
    }
  }

  const expectedOf = (queue: string) => {
    const known = expected.get(queue) ?? new Map<string, number>()
    expected.set(queue, known)
    return known
  }

  const expect: Completions['expect'] = (queue, ids) => {
    const known = expectedOf(queue)
    const now = performance.now()
    for (const id of ids) {
      known.delete(id)
      known.set(id, now)
    }
    for (const [id, since] of known) {
      if (known.size <= mostExpected && since > now - expectedForMs) break
      known.delete(id)
    }
  }

  const read = async (queue: string) => {
    const known = expectedOf(queue)
    if (known.size === 0) return 0
    const { rows } = await pool.query<{ id: string }>(
      `select id from ${schema}.job where queue = $1 and id = any($2::text[]) and state = 'completed'`,
      [queue, [...known.keys()]],
    )
    for (const { id } of rows) {
      known.delete(id)
      for (const tell of tellers.get(queue) ?? []) tell(id)
    }
    return rows.length
  }

  const follow: Completions['follow'] = async (queue, tell, complain) => {
    listening ??= listen()
    const stopping = new AbortController()
    const ended = AbortSignal.any([closing.signal, stopping.signal])
    let again = Promise.withResolvers<void>()
    const one = () => again.resolve()
    const ones = nudges.get(queue) ?? new Set()
    nudges.set(queue, ones.add(one))
    const told = tellers.get(queue) ?? new Set()
    tellers.set(queue, told.add(tell))

    const run = async () => {
      while (!ended.aborted) {
        again = Promise.withResolvers()
        const found = await read(queue).catch((error: Error) => {
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
      told.delete(tell)
      await running
    }
  }

  return {
    expect,
    follow,
    close: async () => {
      closing.abort()
      await listening
    },
  }
}
