import { SpanKind } from '@opentelemetry/api'
import type { Logger } from 'pino'
import type { Static, TSchema } from 'typebox'
import { type CallContext, eventContext } from '../context.ts'
import {
  type Contract,
  type EventData,
  everyEvent,
  type PublishedBy,
  type Publisher,
  replayEventOf,
  type SubscribedBy,
} from '../contract.ts'
import { safeMessage } from '../observability/redact.ts'
import { inSpan } from '../observability/span.ts'
import type { Delivery, EventQueues, QueueConsumer } from '../queue/event-queues.ts'
import { parse } from '../schema.ts'
import type { DeadLetterRepository } from './dead-letter-repository.ts'
import type { DeliveryLimiter } from './delivery-limiter.ts'
import type { EventEnvelope } from './event.ts'
import type { InboxRepository } from './outbox-repository.ts'

/** Handles one event. It may run again for the same event, and must then have no further effect: see receiveEvents. */
export type EventHandler<E = EventEnvelope> = (event: E, context: CallContext) => Promise<void>
export type EventHandlers = Readonly<Record<string, EventHandler>>

/** A module's handlers: one for each type that its contract subscribes to, with the data type of the publisher's contract. */
export type HandlersOf<C extends Contract, P extends Publisher> = {
  readonly [T in SubscribedBy<C>]: T extends typeof everyEvent
    ? EventHandler
    : T extends PublishedBy<C | P>
      ? EventHandler<EventEnvelope<EventData<C | P, T>>>
      : 'no contract in `publishers` has this event'
} & { readonly [T in Exclude<PublishedBy<C | P>, SubscribedBy<C> | typeof everyEvent>]?: never }

/** A handler that accepts only events whose data fits the publisher's schema; others become dead letters. */
export const handlerOf =
  <S extends TSchema>(data: S, handle: EventHandler<EventEnvelope<Static<S>>>): EventHandler =>
  (event, context) =>
    handle({ ...event, data: parse(data, event.data) }, context)

/** The handlers, with a check of their payloads. @throws Error if they differ from the subscriptions */
export const checkedHandlers = (
  { name, subscribes }: Contract,
  publishers: readonly Publisher[],
  handlers: EventHandlers,
): EventHandlers => {
  const events = Object.assign({}, ...publishers.map((publisher) => publisher.events)) as Publisher['events']
  const missing = subscribes.filter((type) => type !== replayEventOf(name) && !handlers[type])
  if (missing.length > 0) throw new Error(`${name} has no handler for ${missing.join(', ')}`)
  return Object.fromEntries(
    Object.entries(handlers).map(([type, handle]) => {
      if (!subscribes.includes(type)) throw new Error(`${name} handles ${type} and does not subscribe to it`)
      if (type === everyEvent) return [type, handle]
      const schema = events[type]
      if (!schema) throw new Error(`${name}: no publisher of ${type} is known`)
      return [type, handlerOf(schema, handle as EventHandler<EventEnvelope<unknown>>)]
    }),
  )
}

export interface ConsumerOptions {
  /** Name of the queue. */
  readonly name: string
  readonly handlers: EventHandlers
  readonly queues: EventQueues
  readonly deadLetters: DeadLetterRepository
  readonly inbox: InboxRepository
  readonly log: Logger
  /** Concurrent events. */
  readonly concurrency: number
  /** Shared by all consumers of the process: deliveries can wait, people cannot. */
  readonly deliveryLimiter: DeliveryLimiter
  readonly timeoutMs?: number
}

const pruneEveryMs = 3_600_000

const reasonOf = (error: unknown): string =>
  (error instanceof Error ? `${error.name}: ${safeMessage(error)}` : typeof error).slice(0, 500)

/** Consumes the module's queue until closed. An event that fails at the last attempt becomes a dead letter. */
export const startConsumer = async (options: ConsumerOptions): Promise<QueueConsumer> => {
  const { name, handlers, queues, deadLetters, inbox, concurrency, deliveryLimiter, timeoutMs = 30_000 } = options

  const deliver = async ({ message, attempt, lastAttempt }: Delivery) => {
    const { replay, ...payload } = message.payload
    const event = payload as unknown as EventEnvelope
    const context = eventContext(event, timeoutMs)
    const log = options.log.child({ event_id: event.id, event_type: event.type })
    const handle = handlers[event.type] ?? handlers[everyEvent]
    try {
      if (!handle) throw new Error(`${name} subscribes to ${event.type} but has no handler for it`)
      await handle(event, context)
    } catch (error) {
      if (!lastAttempt) {
        // Retries take hours: logging the 1st, 2nd, 4th, 8th … is enough.
        if (Number.isInteger(Math.log2(attempt))) log.warn({ err: error, attempt }, 'event handler failed; will retry')
        // The queue stores the message and the stack of this error.
        throw new Error(reasonOf(error))
      }
      log.error({ err: error, attempt }, 'event handler failed; moving the event to the dead letters')
      await deadLetters.record(event, reasonOf(error), attempt)
      return
    }
    if (replay === true) await deadLetters.remove(event.id)
  }

  /** A span of the request's trace for the delivery. */
  const traced = (delivery: Delivery) => {
    const { type, traceparent } = delivery.message.payload as unknown as EventEnvelope
    return inSpan(`${name} ${type}`, SpanKind.CONSUMER, traceparent, () => deliver(delivery))
  }
  const consumer = await queues.consume(name, (delivery) => deliveryLimiter.run(() => traced(delivery)), {
    concurrency,
    limit: deliveryLimiter.concurrency,
  })
  const prune = () =>
    inbox.prune().catch((error) => options.log.warn({ err: error }, 'deleting expired inbox rows failed; will retry'))
  const pruning = setInterval(prune, pruneEveryMs).unref()
  return {
    stuckSeconds: consumer.stuckSeconds,
    close: () => {
      clearInterval(pruning)
      return consumer.close()
    },
  }
}
