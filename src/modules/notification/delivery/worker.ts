import { SpanKind } from '@opentelemetry/api'
import type { Logger } from 'pino'
import { endsWithin } from '../../../platform/concurrency/deadline.ts'
import type { DeliveryLimiter } from '../../../platform/events/delivery-limiter.ts'
import { inSpan } from '../../../platform/observability/span.ts'
import type { Channel } from '../contract.ts'
import type { Lease } from './attempt.ts'
import type { Breaker } from './breaker.ts'
import type { DeliveryRepository } from './repository.ts'

export interface ChannelWorkerOptions {
  readonly channel: Channel
  readonly repository: Pick<DeliveryRepository, 'claim'>
  readonly attempt: (lease: Lease) => Promise<void>
  readonly breaker: Pick<Breaker, 'room'>
  /** Concurrent messages. */
  readonly concurrency: number
  /** Shared with the process's consumers: messages can wait, people cannot. */
  readonly deliveryLimiter: DeliveryLimiter
  readonly log: Logger
}

export interface ChannelWorker {
  start(): void
  /** Messages were recorded just now: poll at once. */
  wake(): void
  /** Claims no more, and waits a few seconds for messages in flight. */
  close(): Promise<void>
}

/** Also the delay until messages are seen that another process recorded, or that are due again. */
const pollMs = 500
const attemptsEndWithinMs = 5_000

/**
 * Sends the messages of one channel, with its own claims, concurrency and circuit breaker (a bulkhead). A hanging provider delays
 * only its own messages.
 */
export const createChannelWorker = (options: ChannelWorkerOptions): ChannelWorker => {
  const { channel, repository, attempt, breaker, concurrency, deliveryLimiter, log } = options
  const running = new Set<Promise<void>>()
  let looking: Promise<void> | undefined
  let again = false
  let closed = false
  let timer: NodeJS.Timeout | undefined

  /** As a span of the request's trace. */
  const traced = (lease: Lease): Promise<void> =>
    inSpan(`notification ${channel}`, SpanKind.INTERNAL, lease.message.origin?.traceparent, () => attempt(lease))

  const begin = (lease: Lease) => {
    const work = deliveryLimiter
      .run(() => traced(lease))
      .catch((error) =>
        log.warn(
          { err: error, notification: lease.message.id },
          'recording the outcome of a message failed; its lease will expire',
        ),
      )
      .finally(() => {
        running.delete(work)
        poll()
      })
    running.add(work)
  }

  const claimMore = async () => {
    do {
      again = false
      const free = deliveryLimiter.concurrency(concurrency) - running.size
      const limit = breaker.room(Math.max(free, 0), running.size)
      if (limit === 0) return
      const askedAt = { monotonic: performance.now(), wall: Date.now() }
      const messages = await repository.claim(channel, limit)
      for (const message of messages) begin({ message, askedAt })
      if (messages.length === limit) again = true
    } while (again && !closed)
  }

  const poll = () => {
    if (closed) return
    again = true
    looking ??= claimMore()
      .catch((error) => log.warn({ err: error, channel }, 'reading due messages failed; will retry'))
      .finally(() => {
        looking = undefined
      })
  }

  return {
    start: () => {
      timer ??= setInterval(poll, pollMs).unref()
      poll()
    },
    wake: () => {
      if (timer) poll()
    },
    close: async () => {
      closed = true
      clearInterval(timer)
      await looking
      await endsWithin(attemptsEndWithinMs, Promise.allSettled(running))
    },
  }
}
