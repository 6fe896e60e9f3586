import { setImmediate } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { EventQueues, QueueMessage } from '../queue/event-queues.ts'
import type { EventEnvelope } from './event.ts'
import { createInFlight } from './in-flight.ts'
import type { ClaimedEvent, OutboxRepository } from './outbox-repository.ts'

export interface Relay {
  start(): void
  /** Something was committed just now: poll without waiting for the next round. */
  wake(): void
  /** The queue was down and may have lost its jobs: check every event now. */
  recheck(): void
  close(): Promise<void>
}

export interface RelayOptions {
  readonly outbox: OutboxRepository
  readonly queues: EventQueues
  /** The queues that this version knows. Rows for others stay, for a relay of the version that knows them. */
  readonly known: readonly string[]
  /** The queues that get each event's audit entry with it, as `entry`. */
  readonly auditQueues: readonly string[]
  /** The audit entry of an event, signed by this service: the same event gives the same entry. */
  readonly sign: (event: EventEnvelope) => object
  readonly log: Logger
  readonly pollMs?: number
  readonly batch?: number
}

/** Wake-ups within this time are combined into one poll of the outbox. */
const gatherMs = 20

const recallBatch = 5000
/** Rows without a queue that one statement addresses. */
const addressBatch = 500

/** Maximum events in flight per queue: the outbox holds a backlog better than a queue does. */
const maxInFlight = 500
/** How long a dispatched event counts as in flight; its row is due again by then. */
const inFlightMs = 15_000

/** A signature takes 50 µs; after this many, requests get a turn. */
const signedAtOnce = 20

/** Pause after a failed dispatch; short, so that delivery continues soon when the queue is up. */
const retryMs = 1000

const idsOf = (claimed: readonly ClaimedEvent[]): string[] => claimed.map(({ event }) => event.id)

/**
 * Delivers committed events from the transactional outbox to their subscribers' queues, at least once, and deletes a row when its
 * job is seen completed. PostgreSQL is the source of truth: when a row's job does not complete in time, it is checked again, and
 * added again if the queue has lost it (a job's id is the event's). A stuck queue fills its own in-flight window, and no other's.
 */
export const createRelay = (options: RelayOptions): Relay => {
  const { outbox, queues, known, auditQueues, sign, log, pollMs = 1000, batch = 200 } = options
  let closed = false
  let running: Promise<void> | undefined
  let again = false
  let addressing = false
  const watched = new Map<string, Promise<() => Promise<void>>>()
  const inFlight = new Map(known.map((queue) => [queue, createInFlight(maxInFlight, inFlightMs)]))
  const full = new Set<string>()

  /**
   * The queue has completed these events. Those of other relays are theirs; those of dead relays come back when their lease ends.
   */
  const settle = (queue: string, ids: readonly string[]) => {
    const finished = inFlight.get(queue)?.done(ids) ?? []
    if (finished.length === 0) return
    if (full.has(queue)) poll()
    outbox
      .delivered(finished, queue)
      .catch((error) => log.warn({ err: error }, 'deleting delivered events from the outbox failed; will retry'))
  }

  const watch = async (queue: string) => {
    const watching = watched.get(queue) ?? queues.onCompleted(queue, (ids) => settle(queue, ids))
    watched.set(queue, watching)
    await watching.catch(() => watched.delete(queue))
  }

  /** For rows that were dispatched before: deletes completed ones, retries failed ones. @returns those whose jobs are missing */
  const review = async (queue: string, ids: readonly string[]): Promise<ReadonlySet<string>> => {
    if (ids.length === 0) return new Set()
    const states = await queues.states(queue, ids)
    const inState = (state: string) => ids.filter((id) => states.get(id) === state)
    const failed = inState('failed')
    if (failed.length > 0) await queues.retryFailed(queue, failed)
    const completed = inState('completed')
    if (completed.length > 0) {
      inFlight.get(queue)?.done(completed)
      await outbox.delivered(completed, queue)
    }
    const missing = inState('missing')
    if (missing.length > 0) log.warn({ queue, jobs: missing.length }, 'the queue lost jobs; adding them again')
    return new Set(missing)
  }

  const messagesFor = async (queue: string, events: readonly EventEnvelope[]): Promise<QueueMessage[]> => {
    if (!auditQueues.includes(queue)) return events.map((event) => ({ id: event.id, payload: { ...event } }))
    const messages: QueueMessage[] = []
    for (const event of events) {
      messages.push({ id: event.id, payload: { ...event, entry: sign(event) } })
      if (messages.length % signedAtOnce === 0) await setImmediate()
    }
    return messages
  }

  const dispatch = async (queue: string, claimed: readonly ClaimedEvent[]) => {
    // Before the first job can end.
    inFlight.get(queue)?.add(idsOf(claimed))
    try {
      await watch(queue)
      const missing = await review(queue, idsOf(claimed.filter(({ attempts }) => attempts > 1)))
      const wanted = claimed.filter(({ attempts, event }) => attempts === 1 || missing.has(event.id))
      const events = wanted.map(({ event }) => event)
      await queues.publish(queue, await messagesFor(queue, events))
    } catch (error) {
      log.warn({ err: error, queue, events: claimed.length }, 'adding jobs to the queue failed; events stay in the outbox')
      inFlight.get(queue)?.done(idsOf(claimed))
      await outbox.release(queue, idsOf(claimed), retryMs)
    }
  }

  const address = async () => {
    let addressed = addressBatch
    while (addressed === addressBatch && !closed) addressed = await outbox.address(addressBatch)
  }

  const drain = async () => {
    if (addressing) await address()
    addressing = false
    do {
      again = false
      full.clear()
      for (const [queue, each] of inFlight) if (each.room() === 0) full.add(queue)
      const rooms = [...inFlight]
        .filter(([queue]) => !full.has(queue))
        .map(([queue, each]) => ({ queue, room: Math.min(batch, each.room()) }))
      if (rooms.length === 0) return
      const claimed = Map.groupBy(await outbox.claim(rooms), ({ queue }) => queue)
      await Promise.all([...claimed].map(([queue, group]) => dispatch(queue, group)))
      if (rooms.some(({ queue, room }) => claimed.get(queue)?.length === room)) again = true
    } while (again && !closed)
  }

  const poll = () => {
    if (closed) return
    if (running) {
      again = true
      return
    }
    running = drain()
      .catch((error) => log.warn({ err: error }, 'reading the outbox failed; will retry'))
      .finally(() => {
        running = undefined
      })
  }

  const recheck = async () => {
    for (const each of inFlight.values()) each.clear()
    let recalled = recallBatch
    while (recalled === recallBatch && !closed) recalled = await outbox.recall(recallBatch)
    poll()
  }

  let timer: NodeJS.Timeout | undefined
  let woken: NodeJS.Timeout | undefined
  const pollNow = () => {
    woken = undefined
    poll()
  }
  const pollAll = () => {
    addressing = true
    poll()
  }
  return {
    start: () => {
      timer = setInterval(pollAll, pollMs).unref()
      pollAll()
    },
    recheck: () => {
      recheck().catch((error) => log.warn({ err: error }, 'checking dispatched events failed; will retry'))
    },
    wake: () => {
      if (timer) woken ??= setTimeout(pollNow, gatherMs)
    },
    close: async () => {
      closed = true
      clearInterval(timer)
      clearTimeout(woken)
      await running
      await Promise.allSettled([...watched.values()].map(async (stop) => (await stop)()))
    },
  }
}
