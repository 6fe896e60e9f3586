import { type Static, type TLiteral, Type } from 'typebox'
import { defineContract } from '../../platform/contract.ts'
import { locales } from '../../platform/locales.ts'
import { roles } from '../../platform/permission.ts'
import { Id, Nullable, Timestamp } from '../../platform/schema.ts'
import { userErrors } from './errors.ts'

export const Role = Type.Enum(roles)

type LiteralOfEach<L extends readonly string[]> = { readonly [N in keyof L]: TLiteral<L[N]> }
const literals = locales.map((locale) => Type.Literal(locale)) as unknown as LiteralOfEach<typeof locales>
export const Language = Type.Union([...literals], { description: 'language of messages' })

export const User = Type.Object(
  {
    id: Id,
    name: Type.String({ minLength: 1, maxLength: 100, pattern: '\\S' }),
    email: Type.String({ format: 'email', maxLength: 254, description: 'unique, ignoring case' }),
    phone: Nullable(Type.String({ pattern: '^\\+[1-9]\\d{6,14}$', description: 'E.164' })),
    role: Role,
    locale: Language,
    email_confirmed: Type.Boolean({
      description: 'whether the mailbox is known to be theirs; until then no mail about orders is sent',
    }),
    phone_confirmed: Type.Boolean({ description: 'whether SMS are sent to the phone, if there is one' }),
    created_at: Timestamp,
  },
  { title: 'User' },
)
export type User = Static<typeof User>

/** A token is valid as long as its `session_version` is the user's. */
export const Session = Type.Object({
  id: Id,
  role: Role,
  session_version: Type.Integer(),
  /** False if the role requires a second factor that is not enrolled. */
  mfa_satisfied: Type.Boolean(),
  /** Whether this person must have signed in with a second factor. The previous version does not send it. */
  mfa_required: Type.Optional(Type.Boolean()),
})
export type Session = Static<typeof Session>

/** The purpose of a mailed token. */
export const MailPurpose = Type.Union([Type.Literal('activation'), Type.Literal('reset'), Type.Literal('email_change')])
export type MailPurpose = Static<typeof MailPurpose>
/** The mail that an event asks for; `email_changed` goes to the old address and has no token. */
export const MailRequestPurpose = Type.Union([...MailPurpose.anyOf, Type.Literal('email_changed')])
export type MailRequestPurpose = Static<typeof MailRequestPurpose>

/** The content of a user event: which fields changed, never their values. */
const UserChange = Type.Object({ fields: Type.Array(Type.String()) })

export const userContract = defineContract({
  name: 'user',
  port: 5001,
  errors: userErrors,
  tags: ['users', 'auth'],
  complianceTags: { user: ['personal-data', 'access-control'], session: ['access-control'] },
  paths: ['/users', '/auth'],
  ops: {
    /** @throws user.not_found */
    getUser: {
      input: Type.Object({ id: Id }),
      output: User,
      idempotent: true,
      timeoutMs: 5000,
    },
    /** Missing users are left out of the result; the caller decides what that means. */
    getUsers: {
      input: Type.Object({ ids: Type.Array(Id, { maxItems: 100 }) }),
      output: Type.Array(User),
      idempotent: true,
      timeoutMs: 5000,
    },
    /** Session state of these users; erased users are left out. */
    getSessions: {
      input: Type.Object({ ids: Type.Array(Id, { maxItems: 100 }) }),
      output: Type.Array(Session),
      idempotent: true,
      timeoutMs: 5000,
      forEveryProcess: true,
    },
    /**
     * For the mail that an event of this module asked for: its address and, except for `email_changed`, a new token. Earlier
     * tokens for the same purpose become void. Called when the mail is sent, so that no queue holds the token. Only an event that
     * this module committed within the last day gives one, until one of its tokens was used. @throws user.not_found for any other
     */
    issueMailToken: {
      input: Type.Object({ event_id: Type.String({ format: 'uuid' }) }),
      output: Type.Object({
        user_id: Id,
        purpose: MailRequestPurpose,
        email: Type.String(),
        token: Nullable(Type.String()),
      }),
      timeoutMs: 2000,
    },
  },
  events: {
    'user.created': UserChange,
    'user.updated': UserChange,
    'user.deleted': UserChange,
    'user.exported': Type.Object({}),
    'user.activation_requested': Type.Object({}),
    'user.activated': Type.Object({}),
    /** The first confirmation of the mailbox: held messages can be sent. */
    'user.email_confirmed': Type.Object({}),
    'user.password_reset_requested': Type.Object({}),
    /** A new address becomes active when its mailed token comes back; the old one stays active until then. */
    'user.email_change_requested': Type.Object({}),
    'user.email_changed': Type.Object({}),
    'user.password_changed': Type.Object({}),
    'user.signed_in': Type.Object({}),
    'user.reauthenticated': Type.Object({}),
    'user.signed_out': Type.Object({}),
    'user.refresh_reuse_detected': Type.Object({}),
    'user.second_factor_enrolled': Type.Object({}),
    'user.second_factor_removed': Type.Object({}),
    /** By an administrator, with a reason. */
    'user.second_factor_reset': Type.Object({ reason: Type.String() }),
  },
})
