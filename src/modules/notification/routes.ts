import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { pageQuery, pageRequest } from '../../platform/page.ts'
import { dataReply, Many, One, operationsOf, pageReply } from '../../platform/route.ts'
import { Id, idParams, Strict } from '../../platform/schema.ts'
import { Notification, NotificationStatus, notificationContract } from './contract.ts'
import { messages } from './messages.ts'
import type { NotificationService } from './service.ts'

const ListQuery = Strict({
  ...pageQuery,
  order_id: Type.Optional(Id),
  user_id: Type.Optional(Id),
  status: Type.Optional(NotificationStatus),
})

const operation = operationsOf(notificationContract, 'notifications')

export const notificationRoutes: FastifyPluginAsyncTypebox<{ service: NotificationService }> = async (app, { service }) => {
  app.get(
    '/notifications',
    {
      schema: {
        ...operation('listNotifications', 'Messages, newest first'),
        querystring: ListQuery,
        response: { 200: Many(Notification) },
      },
    },
    async ({ query, call }) => pageReply(await service.list(pageRequest(query), query, call)),
  )

  app.get(
    '/notifications/:id',
    { schema: { ...operation('getNotification', 'One message'), params: idParams(1), response: { 200: One(Notification) } } },
    async ({ params, call }) => dataReply(await service.get(params.id, call)),
  )

  app.post(
    '/notifications/:id/retry',
    {
      config: { message: messages['notification.retry_requested'] },
      schema: {
        ...operation('retryNotification', 'Retry an unsent message, with the same idempotency key'),
        params: idParams(1),
        response: { 202: One(Notification) },
      },
    },
    async ({ params, call }, reply) => reply.code(202).send(dataReply(await service.retry(params.id, call))),
  )
}
