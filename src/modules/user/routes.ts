import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { clientAddressOf } from '../../platform/auth/authenticate.ts'
import { localeOf } from '../../platform/http/problem.ts'
import { pageQuery, pageReply, pageRequest } from '../../platform/page.ts'
import { idParams, Many, Nullable, One, Strict, Text } from '../../platform/schema.ts'
import { Language, Role, User } from './contract.ts'
import { messages } from './messages.ts'
import { withPhone } from './phone.ts'
import type { UserService } from './service.ts'
import type { Accounts } from './sign-in/accounts.ts'
import { Email, Password } from './sign-in/auth-routes.ts'

const Phone = Nullable(
  Text('typed', { maxLength: 64, description: 'with + and the country code, or as written in `phone_country`; kept as E.164' }),
)
const PhoneCountry = Text('country', {
  pattern: '^[A-Z]{2}$',
  description: 'ISO 3166-1 alpha-2: of a `phone` without + and country code',
})

const NewUser = Strict(
  {
    name: Text('person', {
      minLength: 1,
      maxLength: 100,
      description: 'without line breaks, control characters and addresses of the web',
    }),
    email: Email,
    phone: Type.Optional(Phone),
    phone_country: Type.Optional(PhoneCountry),
    role: Type.Optional(Role),
    locale: Type.Optional(Language),
  },
  { title: 'NewUser' },
)
const NewAccount = Type.Object(
  {
    ...NewUser.properties,
    locale: Type.Optional(Type.Union(Language.anyOf, { description: 'language of messages; by default that of the request' })),
    password: Type.Optional(Password),
  },
  {
    title: 'NewAccount',
    additionalProperties: false,
    examples: [{ name: 'Ada Lovelace', email: 'ada@example.com', locale: 'en', password: 'a quiet harbour 7' }],
  },
)
const UserChanges = Type.Partial(NewUser, {
  title: 'UserChanges',
  additionalProperties: false,
  minProperties: 1,
  examples: [{ phone: '0912 345 678', phone_country: 'TW', locale: 'en' }],
})

const operation = (operationId: string, summary: string) => ({ operationId, summary, tags: ['users'] })

export interface UserRoutesOptions {
  readonly service: UserService
  readonly accounts: Pick<Accounts, 'create'>
}

export const userRoutes: FastifyPluginAsyncTypebox<UserRoutesOptions> = async (app, { service, accounts }) => {
  app.get(
    '/users',
    {
      schema: { ...operation('listUsers', 'Users, newest first'), querystring: Strict(pageQuery), response: { 200: Many(User) } },
    },
    async ({ query }) => pageReply(await service.list(pageRequest(query))),
  )

  app.get(
    '/users/:id',
    { schema: { ...operation('getUser', 'One user'), params: idParams(3), response: { 200: One(User) } } },
    async ({ params, call }) => ({ success: true as const, data: await service.read(params.id, call) }),
  )

  app.post(
    '/users',
    {
      config: { message: messages['user.created'] },
      schema: {
        ...operation('createUser', 'Register, or create a user as an administrator'),
        description:
          'Without a token: an account of your own, with `password` and the role `user`; a token is mailed to confirm the address, and with `REGISTRATION=verify` the account is usable after that; in the other mode it can order at once, and mails about orders wait until then. An address that is in use is answered 409 in each mode: whoever registers can learn that it is. Without a token there are limits for each address and each client: 429 `auth.too_many_attempts`.',
        body: NewAccount,
        response: { 201: One(User) },
      },
    },
    async (request, reply) => {
      const { password, ...user } = await withPhone(request.body)
      const locale = localeOf(request.headers['accept-language'])
      const address = clientAddressOf(request)
      const data = await accounts.create({ phone: null, role: 'user', locale, ...user }, password, address, request.call)
      return reply
        .code(201)
        .header('location', `/api/v1/users/${data.id}`)
        .send({ success: true as const, data })
    },
  )

  app.patch(
    '/users/:id',
    {
      config: { message: messages['user.updated'] },
      schema: {
        ...operation('updateUser', 'Change a user'),
        description:
          'A new e-mail address or phone of your own takes a token of POST /auth/reauthenticate, and an address that is confirmed. The new address is in `pending_email` of GET /auth/me, and gets a mail; it takes the place of the one before with POST /auth/activate. The address before is told of each step. Naming the address that you have gives a pending one up. What an administrator enters for somebody else counts at once, also where it is what the person has entered, and ends their sign-ins where it is the address.',
        params: idParams(3),
        body: UserChanges,
        response: { 200: One(User) },
      },
    },
    async ({ params, body, call }) => ({
      success: true as const,
      data: await service.update(params.id, await withPhone(body), call),
    }),
  )

  app.delete(
    '/users/:id/mfa',
    {
      config: { message: messages['second_factor.removed'] },
      schema: {
        ...operation('resetSecondFactor', "Remove somebody's second factor"),
        description:
          'For somebody who has lost theirs, or found that of a stranger. Takes a token of POST /auth/reauthenticate from who has an account here. Ends every sign-in of that person, who is told by mail; the reason is in the audit trail.',
        params: idParams(3),
        body: Strict(
          { reason: Text('name', { minLength: 1, maxLength: 500, description: 'for the audit trail' }) },
          { examples: [{ reason: 'lost the phone; identity checked by a call back' }] },
        ),
        response: { 200: One(Type.Null()) },
      },
    },
    async ({ params, body, call }) => {
      await service.resetSecondFactor(params.id, body.reason, call)
      return { success: true as const, data: null }
    },
  )

  app.delete(
    '/users/:id',
    {
      config: { message: messages['user.deleted'] },
      schema: {
        ...operation('deleteUser', 'Delete a user; returns the deleted user'),
        description: 'Erasing your own account takes a token of POST /auth/reauthenticate.',
        params: idParams(2),
        response: { 200: One(User) },
      },
    },
    async ({ params, call }) => ({ success: true as const, data: await service.remove(params.id, call) }),
  )
}
