import { setImmediate } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { AuditEntry } from '../audit/entry.ts'
import type { EventQueues, QueueMessage } from '../queue.ts'
import type { EventEnvelope } from './event.ts'
import type { ClaimedEvent, OutboxRepository, Routes } from './repository.ts'
import { createWindow } from './window.ts'

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
  /** The queues that get each event's audit entry with it, as `entry`. */
  readonly signedFor: readonly string[]
  /** The event as this service says it on the audit trail: the same event gives the same entry. */
  readonly sign: (event: EventEnvelope) => AuditEntry
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

/** A signature takes 50 µs; after so many of them requests have a chance. */
const signedAtOnce = 20

/** A little after the hand-over failed; short, so that delivery goes on soon when the transport is back. */
const retryMs = 1000

/**
 * Carries committed events from the outbox to their subscribers' queues, at least once, and deletes a row when every
 * subscriber's job is seen completed. PostgreSQL is the truth: a row whose jobs do not complete in time is handed over
 * again, which adds the jobs that the transport has lost and leaves the others alone (a job's id is the event's).
 */
export const createRelay = (options: RelayOptions): Relay => {
  const { outbox, queues, routes, signedFor, sign, log, pollMs = 1000, batch = 200 } = options
  let closed = false
  let running: Promise<void> | undefined
  let again = false
  const watched = new Map<string, Promise<() => Promise<void>>>()

  const underWay = createWindow(windowSize, windowMs)
  let full = false

  /** One queue is done with these events. Those of other relays are theirs; those of ended ones come back with their lease. */
  const settle = (queue: string, ids: readonly string[]) => {
    const finished = underWay.done(queue, ids)
    if (finished.length === 0) return
    if (full) look()
    outbox.drop(finished).catch((error) => log.warn({ err: error }, 'delivered events stay in the outbox until the next look'))
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
    if (completed.length === 0) return
    // Kept in the row: the transport forgets a completed job sooner than another queue may take to end its own.
    await outbox.delivered(completed, queue)
    settle(queue, completed)
  }

  const messagesFor = async (queue: string, events: readonly EventEnvelope[]): Promise<QueueMessage[]> => {
    if (!signedFor.includes(queue)) return events.map((event) => ({ id: event.id, payload: { ...event } }))
    const messages: QueueMessage[] = []
    for (const event of events) {
      messages.push({ id: event.id, payload: { ...event, entry: sign(event) } })
      if (messages.length % signedAtOnce === 0) await setImmediate()
    }
    return messages
  }

  const handOver = async (type: string, group: readonly ClaimedEvent[]) => {
    // One that no contract names is on the trail all the same.
    const targets = routes[type] ?? signedFor
    const openFor = ({ delivered }: ClaimedEvent) => targets.filter((queue) => !delivered.includes(queue))
    const finished = group.filter((claimed) => openFor(claimed).length === 0)
    if (finished.length > 0) await outbox.drop(finished.map(({ event }) => event.id))
    const waiting = group.filter((claimed) => openFor(claimed).length > 0)
    for (const claimed of waiting) underWay.add(claimed.event.id, openFor(claimed))
    for (const queue of targets) {
      await watch(queue)
      const open = waiting.filter(({ delivered }) => !delivered.includes(queue))
      await review(queue, open)
      await queues.publish(
        queue,
        await messagesFor(
          queue,
          open.map(({ event }) => event),
        ),
      )
    }
  }

  const drain = async () => {
    do {
      again = false
      const limit = Math.min(batch, underWay.room())
      full = limit === 0
      if (full) return
      const claimed = await outbox.claim(limit)
      const byType = Map.groupBy(claimed, ({ event }) => event.type)
      for (const [type, group] of byType) {
        try {
          await handOver(type, group)
        } catch (error) {
          log.warn({ err: error, events: group.length }, 'events wait in the outbox: the transport does not take them')
          const ids = group.map(({ event }) => event.id)
          underWay.remove(ids)
          await outbox.release(ids, retryMs)
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
