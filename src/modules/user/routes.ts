import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { listed, pageQuery, pageRequest } from '../../platform/page.ts'
import { IdParams, Many, One, Strict } from '../../platform/schema.ts'
import { Language, Role, User } from './contract.ts'
import type { UserService } from './service.ts'

const { name, email, phone } = User.properties

const NewUser = Strict(
  {
    name,
    email,
    phone: Type.Optional(phone),
    role: Type.Optional(Role),
    locale: Type.Optional(Language),
  },
  { title: 'NewUser' },
)
const UserChanges = Type.Partial(NewUser, { title: 'UserChanges', additionalProperties: false, minProperties: 1 })

const described = (operationId: string, summary: string) => ({ operationId, summary, tags: ['users'] })

export const userRoutes: FastifyPluginAsyncTypebox<{ service: UserService }> = async (app, { service }) => {
  app.get(
    '/users',
    {
      schema: { ...described('listUsers', 'Users, newest first'), querystring: Strict(pageQuery), response: { 200: Many(User) } },
    },
    async ({ query }) => listed(await service.list(pageRequest(query))),
  )

  app.get(
    '/users/:id',
    { schema: { ...described('getUser', 'One user'), params: IdParams, response: { 200: One(User) } } },
    async ({ params }) => ({ success: true as const, data: await service.get(params.id) }),
  )

  app.post(
    '/users',
    { schema: { ...described('createUser', 'Create a user'), body: NewUser, response: { 201: One(User) } } },
    async ({ body, call }, reply) => {
      const data = await service.create({ phone: null, role: 'user', locale: 'en', ...body }, call)
      return reply
        .code(201)
        .header('location', `/api/v1/users/${data.id}`)
        .send({ success: true as const, data })
    },
  )

  app.patch(
    '/users/:id',
    {
      schema: { ...described('updateUser', 'Change a user'), params: IdParams, body: UserChanges, response: { 200: One(User) } },
    },
    async ({ params, body, call }) => ({ success: true as const, data: await service.update(params.id, body, call) }),
  )

  app.delete(
    '/users/:id',
    {
      schema: {
        ...described('deleteUser', 'Delete a user; answers with what was deleted'),
        params: IdParams,
        response: { 200: One(User) },
      },
    },
    async ({ params, call }) => ({ success: true as const, data: await service.remove(params.id, call) }),
  )
}
