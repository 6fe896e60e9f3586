import { DeadLetterReplayed, everyEvent, replayEventOf } from '../contract.ts'
import type { EventQueues } from '../queue/event-queues.ts'
import { type EventHandlers, handlerOf } from './consumer.ts'
import type { DeadLetterRepository } from './dead-letter-repository.ts'

/**
 * A module's handlers, with the one that replays a dead letter. What the module itself does with that event, as with any other,
 * comes first. The event records who wanted it, and outlives an outage of the queue.
 */
export const withReplay = (
  module: string,
  handlers: EventHandlers,
  queues: Pick<EventQueues, 'redeliver'>,
  deadLetters: Pick<DeadLetterRepository, 'byEvent'>,
): EventHandlers => {
  const type = replayEventOf(module)
  const own = handlers[type] ?? handlers[everyEvent]
  const replay = handlerOf(DeadLetterReplayed, async ({ data: { event_id } }) => {
    const letter = await deadLetters.byEvent(event_id)
    if (letter) await queues.redeliver(module, { id: event_id, payload: { ...letter.event, replay: true } })
  })
  return {
    ...handlers,
    [type]: async (event, context) => {
      await own?.(event, context)
      await replay(event, context)
    },
  }
}
