import type { Logger } from 'pino'
import type { EventQueues, QueueMessage } from '../queue.ts'
import type { ClaimedEvent, OutboxRepository, Routes } from './repository.ts'

export interface Relay {
  start(): void
  /** Something was committed just now: look without waiting for the next poll. */
  nudge(): void
  /** The transport was away and may have lost what it held: look at every event now. */
  recheck(): void
  close(): Promise<void>
}

export interface RelayOptions {
  readonly outbox: OutboxRepository
  readonly queues: EventQueues
  readonly routes: Routes
  readonly log: Logger
  readonly pollMs?: number
  readonly batch?: number
}

/** A nudge waits for others: one look at the outbox for all that are committed in this time. */
const gatherMs = 20

const recallBatch = 5000

/** Events handed over and not yet seen delivered, at the most: the outbox holds a backlog better than a queue does. */
const windowSize = 500
/** A hand-over counts for so long; its row is due again by then. */
const windowMs = 15_000

/** A little after the hand-over failed; short, so that delivery goes on soon when the transport is back. */
const retryMs = 1000

/**
 * Carries committed events from the outbox to their subscribers' queues, at least once, and deletes a row when every
 * subscriber's job is seen completed. PostgreSQL is the truth: a row whose jobs do not complete in time is handed over
 * again, which adds the jobs that the transport has lost and leaves the others alone (a job's id is the event's).
 */
export const createRelay = ({ outbox, queues, routes, log, pollMs = 1000, batch = 200 }: RelayOptions): Relay => {
  let closed = false
  let running: Promise<void> | undefined
  let again = false
  const watched = new Map<string, Promise<() => Promise<void>>>()

  /** Event id to when it no longer counts. */
  const underWay = new Map<string, number>()
  let full = false
  const room = (): number => {
    if (underWay.size >= windowSize) for (const [id, until] of underWay) if (until < Date.now()) underWay.delete(id)
    return Math.min(batch, windowSize - underWay.size)
  }

  const settle = (queue: string, ids: string[]) => {
    for (const id of ids) underWay.delete(id)
    if (full) look()
    outbox
      .delivered(ids, queue)
      .catch((error) => log.warn({ err: error }, 'delivered events stay in the outbox until the next look'))
  }

  const watch = async (queue: string) => {
    const known = watched.get(queue) ?? queues.onCompleted(queue, (ids) => settle(queue, ids))
    watched.set(queue, known)
    await known.catch(() => watched.delete(queue))
  }

  /** Rows that were handed over before: completed ones go, failed ones run again; what is missing is added by the caller. */
  const review = async (queue: string, group: readonly ClaimedEvent[]) => {
    const ids = group.filter(({ attempts }) => attempts > 1).map(({ event }) => event.id)
    if (ids.length === 0) return
    const states = await queues.states(queue, ids)
    const inState = (state: string) => ids.filter((id) => states.get(id) === state)
    const failed = inState('failed')
    if (failed.length > 0) await queues.retryFailed(queue, failed)
    const missing = inState('missing')
    if (missing.length > 0) log.warn({ queue, jobs: missing.length }, 'the transport lost jobs; they are added again')
    const completed = inState('completed')
    for (const id of completed) underWay.delete(id)
    if (completed.length > 0) await outbox.delivered(completed, queue)
  }

  const handOver = async (type: string, group: readonly ClaimedEvent[]) => {
    const targets = routes[type] ?? []
    if (targets.length === 0) return outbox.drop(group.map(({ event }) => event.id))
    for (const { event } of group) underWay.set(event.id, Date.now() + windowMs)
    for (const queue of targets) {
      await watch(queue)
      const open = group.filter(({ delivered }) => !delivered.includes(queue))
      await review(queue, open)
      await queues.publish(
        queue,
        open.map(({ event }): QueueMessage => ({ id: event.id, payload: { ...event } })),
      )
    }
  }

  const drain = async () => {
    do {
      again = false
      const limit = room()
      full = limit === 0
      if (full) return
      const claimed = await outbox.claim(limit)
      const byType = Map.groupBy(claimed, ({ event }) => event.type)
      for (const [type, group] of byType) {
        try {
          await handOver(type, group)
        } catch (error) {
          log.warn({ err: error, events: group.length }, 'events wait in the outbox: the transport does not take them')
          for (const { event } of group) underWay.delete(event.id)
          await outbox.release(
            group.map(({ event }) => event.id),
            retryMs,
          )
        }
      }
      if (claimed.length === limit) again = true
    } while (again && !closed)
  }

  const look = () => {
    if (closed) return
    if (running) {
      again = true
      return
    }
    running = drain()
      .catch((error) => log.warn({ err: error }, 'the outbox cannot be read; trying again'))
      .finally(() => {
        running = undefined
      })
  }

  const recheck = async () => {
    underWay.clear()
    let recalled = recallBatch
    while (recalled === recallBatch && !closed) recalled = await outbox.recall(recallBatch)
    look()
  }

  let timer: NodeJS.Timeout | undefined
  let nudged: NodeJS.Timeout | undefined
  const lookNow = () => {
    nudged = undefined
    look()
  }
  return {
    start: () => {
      timer = setInterval(look, pollMs).unref()
      look()
    },
    recheck: () => {
      recheck().catch((error) => log.warn({ err: error }, 'events that were handed over wait for their next look'))
    },
    nudge: () => {
      if (timer) nudged ??= setTimeout(lookNow, gatherMs)
    },
    close: async () => {
      closed = true
      clearInterval(timer)
      clearTimeout(nudged)
      await running
      await Promise.allSettled([...watched.values()].map(async (stop) => (await stop)()))
    },
  }
}
