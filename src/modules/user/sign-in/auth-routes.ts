import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { clientAddressOf } from '../../../platform/auth/authenticate.ts'
import { dataReply, One, operationsOf } from '../../../platform/route.ts'
import { Strict, Text } from '../../../platform/schema.ts'
import { User, userContract } from '../contract.ts'
import { messages } from '../messages.ts'
import type { Accounts } from './accounts.ts'
import type { Mailbox } from './mailbox.ts'
import { passwordLength } from './password-policy.ts'
import type { Sessions } from './sessions.ts'

export const Email = Text('email', { format: 'email', maxLength: 254, description: 'unique, ignoring case' })
export const Password = Text('password', {
  ...passwordLength,
  description: 'any characters; must not be a common password, the e-mail address or the name. Consecutive spaces count as one',
})
const GivenPassword = Text('typed', { minLength: 1, maxLength: passwordLength.maxLength })
const Code = Text('code', {
  minLength: 6,
  maxLength: 32,
  description:
    'six digits of the second factor, or a recovery code; spaces, dashes and full-width digits are allowed. Other input is a 400 and not counted as a guess',
})
const Opaque = Text('token', { minLength: 1, maxLength: 200 })

const accessToken = {
  access_token: Type.String({ description: 'for `Authorization: Bearer`' }),
  token_type: Type.Literal('Bearer'),
  expires_in: Type.Integer({ description: 'seconds' }),
}
const AccessToken = Type.Object(accessToken, { title: 'AccessToken' })
const Tokens = Type.Object(
  {
    ...accessToken,
    refresh_token: Type.String({ description: 'valid for one use at /auth/refresh' }),
  },
  { title: 'Tokens' },
)
/** Calls with unpredictable values; their responses are described here. */
const given = { password: 'the password', token: 'the token of the mail', code: '123456' } as const
const sensitive = 'a new e-mail address or phone of your own, a second factor, and erasing your account'
const newPassword = 'another quiet harbour 7'
const Login = Strict(
  { email: Email, password: GivenPassword, otp: Type.Optional(Code) },
  { title: 'Login', examples: [{ email: 'xiaoming@example.com', password: given.password }] },
)
const Refresh = Strict(
  { refresh_token: Opaque },
  { title: 'RefreshToken', examples: [{ refresh_token: 'the one of the sign-in' }] },
)
const Me = Type.Object(
  {
    ...User.properties,
    pending_email: Type.Optional(Type.String({ description: 'a new address that is not confirmed yet' })),
    mfa_enrolled: Type.Boolean(),
  },
  { title: 'Me' },
)
const Enrolment = Type.Object({
  secret: Type.String({ description: 'base32, for manual entry' }),
  otpauth_uri: Type.String(),
  qr: Type.String({ description: 'the URI as a PNG in a data URL' }),
})
const needsProof = 'Needs a token of POST /auth/reauthenticate, and a confirmed address.'
const Done = One(Type.Null())
const done = dataReply(null)

const operation = operationsOf(userContract, 'auth')

export interface AuthRoutesOptions {
  readonly sessions: Sessions
  readonly accounts: Accounts
  readonly mailbox: Mailbox
}

export const authRoutes: FastifyPluginAsyncTypebox<AuthRoutesOptions> = async (app, { sessions, accounts, mailbox }) => {
  app.post(
    '/auth/login',
    {
      config: { message: messages['session.started'] },
      schema: { ...operation('signIn', 'Sign in'), body: Login, response: { 200: One(Tokens) } },
    },
    async (request) => {
      const data = await sessions.signIn(request.body, clientAddressOf(request), request.call)
      return dataReply(data)
    },
  )
  app.post(
    '/auth/refresh',
    {
      config: { message: messages['session.refreshed'] },
      schema: {
        ...operation('refresh', 'New tokens for a refresh token; using one twice ends the session'),
        body: Refresh,
        response: { 200: One(Tokens) },
      },
    },
    async ({ body, call }) => dataReply(await sessions.refresh(body.refresh_token, call)),
  )
  app.post(
    '/auth/logout',
    {
      config: { message: messages['session.ended'] },
      schema: { ...operation('signOut', 'End a session'), body: Refresh, response: { 200: Done } },
    },
    async ({ body, call }) => {
      await sessions.signOut(body.refresh_token, call)
      return done
    },
  )
  app.get('/auth/me', { schema: { ...operation('me', 'The signed-in person'), response: { 200: One(Me) } } }, async ({ call }) =>
    dataReply(await accounts.me(call)),
  )

  app.post(
    '/auth/reauthenticate',
    {
      config: { message: messages['session.reauthenticated'] },
      schema: {
        ...operation('reauthenticate', 'Step-up authentication for sensitive changes'),
        description: `Step-up authentication: returns an access token for ${sensitive}, valid for five minutes. Without it, these requests return 401 \`auth.reauthentication_required\` (RFC 9470). The token of a sign-in is not enough, however new: every request carries it, so it may be stolen. Needs the same proof as signing in: the password, and a code if there is a second factor.`,
        body: Strict({ password: GivenPassword, otp: Type.Optional(Code) }, { examples: [{ password: given.password }] }),
        response: { 200: One(AccessToken) },
      },
    },
    async (request) => {
      const data = await accounts.reauthenticate(request.body, clientAddressOf(request), request.call)
      return dataReply(data)
    },
  )
  app.post(
    '/auth/password',
    {
      config: { message: messages['password.changed'] },
      schema: {
        ...operation('changePassword', 'Change the password; ends every session'),
        body: Strict(
          { current_password: GivenPassword, new_password: Password },
          { examples: [{ current_password: given.password, new_password: newPassword }] },
        ),
        response: { 200: Done },
      },
    },
    async (request) => {
      const { current_password, new_password } = request.body
      await accounts.changePassword(current_password, new_password, clientAddressOf(request), request.call)
      return done
    },
  )
  app.post(
    '/auth/password/forgot',
    {
      config: { message: messages['password.reset_requested'] },
      schema: {
        ...operation('forgotPassword', 'Request a mailed token; the response does not reveal whether the account exists'),
        body: Strict({ email: Email }, { examples: [{ email: 'xiaomei@example.com' }] }),
        response: { 202: Done },
      },
    },
    async (request, reply) => {
      await mailbox.requestReset(request.body.email, clientAddressOf(request), request.call)
      return reply.code(202).send(done)
    },
  )
  app.post(
    '/auth/password/reset',
    {
      config: { message: messages['password.changed'] },
      schema: {
        ...operation('resetPassword', 'Set a password with a mailed token; ends every session'),
        description:
          'It also confirms the address. If the address was not confirmed before, this removes the phone and the second factor: they may belong to somebody who registered with an address that is not theirs.',
        body: Strict({ token: Opaque, password: Password }, { examples: [{ token: given.token, password: newPassword }] }),
        response: { 200: Done },
      },
    },
    async ({ body, call }) => {
      await mailbox.resetPassword(body.token, body.password, call)
      return done
    },
  )
  app.post(
    '/auth/activate',
    {
      config: { message: messages['account.activated'] },
      schema: {
        ...operation('activate', 'Confirm an e-mail address with a mailed token'),
        description:
          'Confirms the address of a new account (with `REGISTRATION=verify`, people can sign in only after that), or a new address (PATCH /users/{id}). A new address replaces the old one, ends every session, and the old address is notified. Also needs the password of the account, so that a mailbox owner who did not register cannot be tricked into confirming a stranger’s account; they take it over with a new password instead (POST /auth/password/forgot).',
        body: Strict(
          { token: Opaque, password: GivenPassword },
          { examples: [{ token: given.token, password: given.password }] },
        ),
        response: { 200: Done },
      },
    },
    async (request) => {
      const { token, password } = request.body
      await mailbox.confirm(token, password, clientAddressOf(request), request.call)
      return done
    },
  )

  app.post(
    '/auth/mfa/enrol',
    {
      config: { message: messages['second_factor.started'] },
      schema: {
        ...operation('enrolSecondFactor', 'Create a secret for one-time codes (RFC 6238); confirm it with a code'),
        description: needsProof,
        response: { 200: One(Enrolment) },
      },
    },
    async ({ call }) => dataReply(await accounts.enrolSecondFactor(call)),
  )
  app.post(
    '/auth/mfa/confirm',
    {
      config: { message: messages['second_factor.enrolled'] },
      schema: {
        ...operation('confirmSecondFactor', 'Confirm the second factor with a code; returns the recovery codes, only once'),
        description: `${needsProof} Ends every session; this one continues with the returned tokens.`,
        body: Strict({ code: Code }, { examples: [{ code: given.code }] }),
        response: { 200: One(Type.Object({ recovery_codes: Type.Array(Type.String()), ...Tokens.properties })) },
      },
    },
    async (request) => {
      const address = clientAddressOf(request)
      return dataReply(await accounts.confirmSecondFactor(request.body.code, address, request.call))
    },
  )
  app.delete(
    '/auth/mfa',
    {
      config: { message: messages['second_factor.removed'] },
      schema: {
        ...operation('removeSecondFactor', 'Remove the second factor; ends every session'),
        body: Strict({ password: GivenPassword, code: Code }, { examples: [{ password: given.password, code: given.code }] }),
        response: { 200: Done },
      },
    },
    async (request) => {
      const { password, code } = request.body
      await accounts.removeSecondFactor(password, code, clientAddressOf(request), request.call)
      return done
    },
  )
}
