import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { clientAddressOf } from '../../platform/auth/authenticate.ts'
import { localeOf } from '../../platform/locales.ts'
import { pageQuery, pageRequest } from '../../platform/page.ts'
import { dataReply, Many, One, operationsOf, pageReply } from '../../platform/route.ts'
import { idParams, Nullable, Strict, Text } from '../../platform/schema.ts'
import { Language, Role, User, userContract } from './contract.ts'
import { messages } from './messages.ts'
import { withPhone } from './phone.ts'
import type { UserService } from './service.ts'
import type { Accounts } from './sign-in/accounts.ts'
import { Email, Password } from './sign-in/auth-routes.ts'

const Phone = Nullable(
  Text('typed', {
    maxLength: 64,
    description: 'with + and the country code, or the national number of `phone_country`; stored as E.164',
  }),
)
const PhoneCountry = Text('country', {
  pattern: '^[A-Z]{2}$',
  description: 'ISO 3166-1 alpha-2: the country of a `phone` without + and country code',
})

const NewUser = Strict(
  {
    name: Text('person', {
      minLength: 1,
      maxLength: 100,
      description: 'without line breaks, control characters and web addresses',
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
    locale: Type.Optional(Type.Union(Language.anyOf, { description: 'language of messages; default: that of the request' })),
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

const operation = operationsOf(userContract, 'users')

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
    async ({ params, call }) => dataReply(await service.read(params.id, call)),
  )

  app.post(
    '/users',
    {
      config: { message: messages['user.created'] },
      schema: {
        ...operation('createUser', 'Register, or create a user as an administrator'),
        description:
          'Without a token: creates your own account, with `password` and the role `user`. A token is mailed to confirm the address. With `REGISTRATION=verify` the account is usable after that; otherwise it can order at once, and mails about orders are held until then. An address that is in use returns 409 in each mode, so a registrant can learn that it is. Without a token, registrations are limited per address and per client: 429 `auth.too_many_attempts`.',
        body: NewAccount,
        response: { 201: One(User) },
      },
    },
    async (request, reply) => {
      const { password, ...user } = await withPhone(request.body)
      const locale = localeOf(request.headers['accept-language'])
      const address = clientAddressOf(request)
      const data = await accounts.create({ phone: null, role: 'user', locale, ...user }, password, address, request.call)
      return reply.code(201).header('location', `/api/v1/users/${data.id}`).send(dataReply(data))
    },
  )

  app.patch(
    '/users/:id',
    {
      config: { message: messages['user.updated'] },
      schema: {
        ...operation('updateUser', 'Change a user'),
        description:
          'To change your own e-mail address or phone, you need a token of POST /auth/reauthenticate and a confirmed address. The new address is in `pending_email` of GET /auth/me, and gets a mail; POST /auth/activate makes it the active one. The old address is notified of each step. Sending your current address cancels a pending one. What an administrator enters for somebody else is active at once and counts as confirmed; a new address also ends their sessions.',
        params: idParams(3),
        body: UserChanges,
        response: { 200: One(User) },
      },
    },
    async ({ params, body, call }) => dataReply(await service.update(params.id, await withPhone(body), call)),
  )

  app.delete(
    '/users/:id/mfa',
    {
      config: { message: messages['second_factor.removed'] },
      schema: {
        ...operation('resetSecondFactor', 'Remove the second factor of a user'),
        description:
          'For a person who has lost their second factor, or found a stranger’s. The administrator needs a token of POST /auth/reauthenticate, unless an external issuer signed them in. Ends every session of that person, who is notified by mail. The reason is in the audit trail.',
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
      return dataReply(null)
    },
  )

  app.delete(
    '/users/:id',
    {
      config: { message: messages['user.deleted'] },
      schema: {
        ...operation('deleteUser', 'Delete a user; returns the deleted user'),
        description: 'To erase your own account, you need a token of POST /auth/reauthenticate.',
        params: idParams(2),
        response: { 200: One(User) },
      },
    },
    async ({ params, call }) => dataReply(await service.remove(params.id, call)),
  )
}
