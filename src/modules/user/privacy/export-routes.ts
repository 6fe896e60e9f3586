import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { dataReply, One, operationsOf } from '../../../platform/route.ts'
import { idParams, Nullable, Timestamp } from '../../../platform/schema.ts'
import { Notification } from '../../notification/contract.ts'
import { OwnOrder } from '../../order/contract.ts'
import { User, userContract } from '../contract.ts'
import type { ExportService } from './export.ts'

const SignIn = Type.Object({
  created_at: Timestamp,
  last_used_at: Nullable(Timestamp),
  expires_at: Timestamp,
  ended_at: Nullable(Timestamp),
})

const PersonExport = Type.Object(
  {
    exported_at: Timestamp,
    user: User,
    account: Type.Object({
      status: Type.String(),
      pending_email: Nullable(Type.String({ description: 'an address that is not confirmed yet' })),
      password_changed_at: Nullable(Timestamp),
      second_factor_since: Nullable(Timestamp),
      recovery_codes_left: Type.Integer(),
      sign_ins: Type.Array(SignIn),
      mail_tokens: Type.Array(
        Type.Object({
          purpose: Type.String(),
          created_at: Timestamp,
          expires_at: Timestamp,
          used_at: Nullable(Timestamp),
        }),
      ),
    }),
    orders: Type.Array(OwnOrder),
    notifications: Type.Array(Notification),
    incomplete: Type.Array(Type.String(), {
      description: 'members with missing data, because their service did not respond: try again later',
    }),
  },
  { title: 'PersonExport' },
)

const operation = operationsOf(userContract, 'users')

export const exportRoutes: FastifyPluginAsyncTypebox<{ service: ExportService }> = async (app, { service }) => {
  app.get(
    '/users/:id/export',
    {
      schema: {
        ...operation('exportUser', 'Export all data held about a user, as a file'),
        params: idParams(3),
        response: { 200: One(PersonExport) },
      },
    },
    async ({ params, call }, reply) => {
      const data = await service.exportUser(params.id, call)
      return reply.header('content-disposition', `attachment; filename="user-${params.id}.json"`).send(dataReply(data as never))
    },
  )
}
