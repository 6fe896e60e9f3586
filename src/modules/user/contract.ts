import { type Static, Type } from 'typebox'
import { defineContract } from '../../platform/contract.ts'
import { Id, Nullable, Timestamp } from '../../platform/schema.ts'

export const Role = Type.Union([Type.Literal('admin'), Type.Literal('user')])
export const Language = Type.Union([Type.Literal('en'), Type.Literal('zh-TW')], { description: 'language of messages' })

export const User = Type.Object(
  {
    id: Id,
    name: Type.String({ minLength: 1, maxLength: 100, pattern: '\\S' }),
    email: Type.String({ format: 'email', maxLength: 254, description: 'unique, whatever its case' }),
    phone: Nullable(Type.String({ pattern: '^\\+[1-9]\\d{6,14}$', description: 'E.164' })),
    role: Role,
    locale: Language,
    created_at: Timestamp,
  },
  { title: 'User' },
)
export type User = Static<typeof User>

/** What an event about a user says: which fields changed, never their values. */
const UserChange = Type.Object({ fields: Type.Array(Type.String()) })

export const userContract = defineContract({
  name: 'user',
  paths: ['/users'],
  ops: {
    /** @throws user.not_found */
    getUser: { input: Type.Object({ id: Id }), output: User, idempotent: true, timeoutMs: 2000 },
    /** Missing users are left out of the answer; the caller decides what that means. */
    getUsers: {
      input: Type.Object({ ids: Type.Array(Id, { maxItems: 100 }) }),
      output: Type.Array(User),
      idempotent: true,
      timeoutMs: 1000,
    },
  },
  events: { 'user.created': UserChange, 'user.updated': UserChange, 'user.deleted': UserChange },
})
