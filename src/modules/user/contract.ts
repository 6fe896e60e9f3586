import { type Static, Type } from 'typebox'
import { roles } from '../../platform/auth/permission.ts'
import { defineContract } from '../../platform/contract.ts'
import { Id, Nullable, Timestamp } from '../../platform/schema.ts'

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
})
export type Session = Static<typeof Session>

/** What a mailed token is for. */
export const MailPurpose = Type.Union([Type.Literal('activation'), Type.Literal('reset')])
export type MailPurpose = Static<typeof MailPurpose>

/** What an event about a user says: which fields changed, never their values. */
const UserChange = Type.Object({ fields: Type.Array(Type.String()) })

export const userContract = defineContract({
  name: 'user',
  paths: ['/users', '/auth'],
  ops: {
    /** @throws user.not_found */
    getUser: {
      input: Type.Object({ id: Id }),
      output: User,
      idempotent: true,
      timeoutMs: 5000,
      callers: ['order', 'notification'],
    },
    /** Missing users are left out of the answer; the caller decides what that means. */
    getUsers: {
      input: Type.Object({ ids: Type.Array(Id, { maxItems: 100 }) }),
      output: Type.Array(User),
      idempotent: true,
      timeoutMs: 5000,
      callers: ['order'],
    },
    /** What sign-ins of these users are worth now; those who are gone are left out. */
    getSessions: {
      input: Type.Object({ ids: Type.Array(Id, { maxItems: 100 }) }),
      output: Type.Array(Session),
      idempotent: true,
      timeoutMs: 5000,
    },
    /**
     * A new token to be mailed to the person; earlier ones for the same purpose are void. Asked for when the mail is sent,
     * so that no queue holds it. @throws user.not_found also for somebody who has no use for one
     */
    issueMailToken: {
      input: Type.Object({ user_id: Id, purpose: MailPurpose }),
      output: Type.Object({ token: Type.String() }),
      timeoutMs: 2000,
      callers: ['notification'],
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
    'user.password_changed': Type.Object({}),
    'user.signed_in': Type.Object({}),
    'user.signed_out': Type.Object({}),
    'user.refresh_reuse_detected': Type.Object({}),
    'user.second_factor_enrolled': Type.Object({}),
    'user.second_factor_removed': Type.Object({}),
  },
})
