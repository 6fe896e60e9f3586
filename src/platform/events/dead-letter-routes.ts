import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { fail } from '../errors.ts'
import { listed, pageQuery, pageRequest } from '../page.ts'
import type { EventQueues } from '../queue.ts'
import { Many, One, Strict, Timestamp } from '../schema.ts'
import type { EventHandler } from './consumer.ts'
import { type EventEnvelope, newEvent } from './event.ts'
import type { DeadLetterRepository } from './repository.ts'

const DeadLetter = Type.Object(
  {
    id: Type.Integer(),
    event_id: Type.String({ format: 'uuid' }),
    type: Type.String(),
    reason: Type.String(),
    attempts: Type.Integer(),
    failed_at: Timestamp,
    event: Type.Object({}, { additionalProperties: true }),
  },
  { title: 'DeadLetter', description: 'An event that its consumer gave up on' },
)

export interface DeadLetterRouteOptions {
  /** Where the routes live below /api/v1. */
  readonly path: string
  readonly tag: string
  /** In the operations' names, where another consumer has the plain ones. */
  readonly of?: string
  /** Type of the event that has a letter delivered again; its consumer handles it with `replayOf`. */
  readonly replayed: string
  readonly repository: DeadLetterRepository
  readonly nudge: () => void
}

/** Has the dead letter of an event delivered again. The event says who wanted it, and outlives a transport that is away. */
export const replayOf =
  (
    queue: string,
    queues: Pick<EventQueues, 'redeliver'>,
    repository: DeadLetterRepository,
  ): EventHandler<EventEnvelope<{ event_id: string }>> =>
  async ({ data: { event_id } }) => {
    const letter = await repository.byEvent(event_id)
    if (letter) await queues.redeliver(queue, { id: event_id, payload: { ...letter.event, replay: true } })
  }

/** A consumer's dead letters: to see them with their reason, and to have one delivered again. */
export const deadLetterRoutes: FastifyPluginAsyncTypebox<DeadLetterRouteOptions> = async (
  app,
  { path, tag, of = '', replayed, repository, nudge },
) => {
  app.get(
    path,
    {
      schema: {
        operationId: `list${of}DeadLetters`,
        summary: 'Events that were given up, newest first',
        tags: [tag],
        querystring: Strict(pageQuery),
        response: { 200: Many(DeadLetter) },
      },
    },
    async ({ query }) => listed(await repository.page(pageRequest(query))),
  )

  app.post(
    `${path}/:event_id/replay`,
    {
      config: { message: 'dead_letter.replayed' },
      schema: {
        operationId: `replay${of}DeadLetter`,
        summary: 'Deliver the event again; it leaves the list when it is handled',
        tags: [tag],
        params: Strict({ event_id: Type.String({ format: 'uuid', examples: ['0198c3f2-5b7e-7c4a-9d1e-3f6a8b2c4d5e'] }) }),
        response: { 202: One(DeadLetter) },
      },
    },
    async ({ params, call }, reply) => {
      const letter = await repository.requestReplay(params.event_id, newEvent(replayed, call))
      if (!letter) throw fail('dead_letter.not_found', { event_id: params.event_id })
      nudge()
      return reply.code(202).send({ success: true as const, data: letter })
    },
  )
}
