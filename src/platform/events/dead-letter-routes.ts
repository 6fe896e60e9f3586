import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { type Contract, DeadLetterReplayed, replayEventOf } from '../contract.ts'
import { fail } from '../errors.ts'
import type { LocalizedText } from '../locales.ts'
import { pageQuery, pageRequest } from '../page.ts'
import { dataReply, Many, One, operationsOf, pageReply } from '../route.ts'
import { Strict, Timestamp } from '../schema.ts'
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
  /** Of the consuming module. The routes are below its first path, under its first tag. */
  readonly contract: Contract
  readonly repository: DeadLetterRepository
}

/** A consumer's dead letters: routes to list them with their reason, and to replay one or many. */
export const deadLetterRoutes: FastifyPluginAsyncTypebox<DeadLetterRouteOptions> = async (app, { contract, repository }) => {
  const { name, paths, tags } = contract
  const [path = `/${name}`] = paths
  const operation = operationsOf(contract, tags[0] ?? name)
  const Module = `${name.charAt(0).toUpperCase()}${name.slice(1)}`
  const replayed = replayEventOf(name)
  const publisher = { events: { [replayed]: DeadLetterReplayed } }

  app.get(
    `${path}/dead-letters`,
    {
      schema: {
        ...operation(`list${Module}DeadLetters`, 'Dead letters, newest first'),
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
        ...operation(`replay${Module}DeadLetters`, 'Replay many dead letters; each leaves the list when it is handled'),
        description:
          'Replays up to `limit` dead letters that match all given criteria, those with the fewest replays first, then the oldest. An empty object matches all. To replay more, call again.',
        body: ReplayFilter,
        response: { 202: One(Replayed) },
      },
    },
    async ({ body, call }, reply) => {
      const { limit, ...filter } = body
      const events = Array.from({ length: limit }, () => newEvent(publisher, replayed, call))
      const count = await repository.requestReplays(filter, events)
      return reply.code(202).send(dataReply({ count }))
    },
  )

  app.post(
    `${path}/dead-letters/:event_id/replay`,
    {
      config: { message: messages['dead_letter.replayed'] },
      schema: {
        ...operation(`replay${Module}DeadLetter`, 'Replay a dead letter; it leaves the list when it is handled'),
        params: Strict({ event_id: EventId }),
        response: { 202: One(DeadLetter) },
      },
    },
    async ({ params, call }, reply) => {
      const requested = await repository.requestReplay(params.event_id, newEvent(publisher, replayed, call))
      if (requested.outcome === 'not_found') throw fail('dead_letter.not_found', { event_id: params.event_id })
      return reply.code(202).send(dataReply(requested.letter))
    },
  )
}
