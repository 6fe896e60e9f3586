import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { DeadLetterReplayed, replayEventOf } from '../contract.ts'
import { fail, type LocalizedText } from '../errors.ts'
import { pageQuery, pageReply, pageRequest } from '../page.ts'
import { Many, One, Strict, Timestamp } from '../schema.ts'
import type { DeadLetterRepository } from './dead-letter-repository.ts'
import { newEvent } from './event.ts'

const EventId = Type.String({ format: 'uuid', examples: ['0198c3f2-5b7e-7c4a-9d1e-3f6a8b2c4d5e'] })

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

const ReplayFilter = Strict(
  {
    event_ids: Type.Optional(Type.Array(EventId, { minItems: 1, maxItems: 100 })),
    type: Type.Optional(
      Type.String({
        maxLength: 200,
        pattern: '^[\\x20-\\x7e]+$',
        description: "the event's type",
        examples: ['order.created'],
      }),
    ),
    before: Type.Optional(Type.String({ ...Timestamp, description: 'failed before this time' })),
    limit: Type.Integer({ minimum: 1, maximum: 500, default: 100 }),
  },
  { title: 'DeadLetterFilter', examples: [{ type: 'order.created', limit: 100 }] },
)

const Replayed = Type.Object(
  { count: Type.Integer({ description: 'events that will be delivered again' }) },
  { title: 'ReplayedDeadLetters' },
)

const messages = {
  'dead_letter.replayed': { en: 'The event will be delivered again', 'zh-TW': '事件將重新遞送' },
  'dead_letters.replayed': { en: 'The events will be delivered again', 'zh-TW': '這些事件將重新遞送' },
} as const satisfies Record<string, LocalizedText>

export interface DeadLetterRouteOptions {
  /** The consuming module. */
  readonly module: string
  /** Path of its routes below /api/v1. */
  readonly path: string
  readonly repository: DeadLetterRepository
}

/** A consumer's dead letters: routes to list them with their reason, and to replay one or many. */
export const deadLetterRoutes: FastifyPluginAsyncTypebox<DeadLetterRouteOptions> = async (app, { module, path, repository }) => {
  const Module = `${module.charAt(0).toUpperCase()}${module.slice(1)}`
  const tags = [path.slice(1)]
  const replayed = replayEventOf(module)
  const publisher = { events: { [replayed]: DeadLetterReplayed } }

  app.get(
    `${path}/dead-letters`,
    {
      schema: {
        operationId: `list${Module}DeadLetters`,
        summary: 'Dead letters, newest first',
        tags,
        querystring: Strict(pageQuery),
        response: { 200: Many(DeadLetter) },
      },
    },
    async ({ query }) => pageReply(await repository.page(pageRequest(query))),
  )

  app.post(
    `${path}/dead-letters/replay`,
    {
      config: { message: messages['dead_letters.replayed'] },
      schema: {
        operationId: `replay${Module}DeadLetters`,
        summary: 'Replay many dead letters; each leaves the list when it is handled',
        description:
          'Replays up to `limit` dead letters that match all given criteria, those with the fewest replays first, then the oldest. An empty object matches all. To replay more, call again.',
        tags,
        body: ReplayFilter,
        response: { 202: One(Replayed) },
      },
    },
    async ({ body, call }, reply) => {
      const { limit, ...filter } = body
      const events = Array.from({ length: limit }, () => newEvent(publisher, replayed, call))
      const count = await repository.requestReplays(filter, events)
      return reply.code(202).send({ success: true as const, data: { count } })
    },
  )

  app.post(
    `${path}/dead-letters/:event_id/replay`,
    {
      config: { message: messages['dead_letter.replayed'] },
      schema: {
        operationId: `replay${Module}DeadLetter`,
        summary: 'Replay a dead letter; it leaves the list when it is handled',
        tags,
        params: Strict({ event_id: EventId }),
        response: { 202: One(DeadLetter) },
      },
    },
    async ({ params, call }, reply) => {
      const letter = await repository.requestReplay(params.event_id, newEvent(publisher, replayed, call))
      if (!letter) throw fail('dead_letter.not_found', { event_id: params.event_id })
      return reply.code(202).send({ success: true as const, data: letter })
    },
  )
}
