import { type Static, Type } from 'typebox'
import { defineContract } from '../../platform/contract.ts'
import { roles } from '../../platform/permission.ts'
import { Id, Nullable, Timestamp } from '../../platform/schema.ts'
import { userErrors } from './errors.ts'

export const Role = Type.Enum(roles)
export const Language = Type.Union([Type.Literal('en'), Type.Literal('zh-TW')], { description: 'language of messages' })

export const User = Type.Object(
  {
    id: Id,
    name: Type.String({ minLength: 1, maxLength: 100, pattern: '\\S' }),
    email: Type.String({ format: 'email', maxLength: 254, description: 'unique, whatever its case' }),
    phone: Nullable(Type.String({ pattern: '^\\+[1-9]\\d{6,14}$', description: 'E.164' })),
    role: Role,
    locale: Language,
    email_confirmed: Type.Boolean({
      description: 'whether the mailbox is known to be theirs; until then no mail about orders is sent',
    }),
    phone_confirmed: Type.Boolean({ description: 'whether SMS are sent to the phone, where there is one' }),
    created_at: Timestamp,
  },
  { title: 'User' },
)
export type User = Static<typeof User>

/** A token is good for as long as its `session_version` is the user's. */
export const Session = Type.Object({
  id: Id,
  role: Role,
  session_version: Type.Integer(),
  /** False where the role demands a second factor that is not enrolled. */
  mfa_satisfied: Type.Boolean(),
  /** Whether this person must have signed in with a second factor. The version before does not say it. */
  mfa_required: Type.Optional(Type.Boolean()),
})
export type Session = Static<typeof Session>

/** What a mailed token is for. */
export const MailPurpose = Type.Union([Type.Literal('activation'), Type.Literal('reset'), Type.Literal('email_change')])
export type MailPurpose = Static<typeof MailPurpose>
/** Of a mail that an event asks for; `email_changed` goes to the address before, and has no token. */
export const MailRequestPurpose = Type.Union([...MailPurpose.anyOf, Type.Literal('email_changed')])
export type MailRequestPurpose = Static<typeof MailRequestPurpose>

/** What an event about a user says: which fields changed, never their values. */
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
    /** Missing users are left out of the answer; the caller decides what that means. */
    getUsers: {
      input: Type.Object({ ids: Type.Array(Id, { maxItems: 100 }) }),
      output: Type.Array(User),
      idempotent: true,
      timeoutMs: 5000,
    },
    /** What sign-ins of these users are worth now; those who are gone are left out. */
    getSessions: {
      input: Type.Object({ ids: Type.Array(Id, { maxItems: 100 }) }),
      output: Type.Array(Session),
      idempotent: true,
      timeoutMs: 5000,
      forEveryProcess: true,
    },
    /**
     * For the mail that an event of this module asked for: where it goes and, but for `email_changed`, a new token; earlier ones for
     * the same purpose are void. Asked for when the mail is sent, so that no queue holds it. Only an event that this module committed
     * within the last day gives one, and only until a token of it was used. @throws user.not_found for any other
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
    /** The mailbox was proven for the first time: what was held back until then can be sent. */
    'user.email_confirmed': Type.Object({}),
    'user.password_reset_requested': Type.Object({}),
    /** A new address waits until a token that is mailed to it comes back; the one before counts meanwhile. */
    'user.email_change_requested': Type.Object({}),
    'user.email_changed': Type.Object({}),
    'user.password_changed': Type.Object({}),
    'user.signed_in': Type.Object({}),
    'user.reauthenticated': Type.Object({}),
    'user.signed_out': Type.Object({}),
    'user.refresh_reuse_detected': Type.Object({}),
    'user.second_factor_enrolled': Type.Object({}),
    'user.second_factor_removed': Type.Object({}),
    /** By an administrator, who says why. */
    'user.second_factor_reset': Type.Object({ reason: Type.String() }),
  },
})
