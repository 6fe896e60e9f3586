import { sql } from 'drizzle-orm'
import { bigint, customType, index, integer, pgSchema, primaryKey, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import { outboxTable, subscriptionTable, timestamptz } from '../../platform/events/tables.ts'
import { defaultLocale } from '../../platform/locales.ts'
import type { MailPurpose, MailRequestPurpose, User } from './contract.ts'

export const schema = pgSchema('users')

const bytes = customType<{ data: Buffer }>({ dataType: () => 'bytea' })

export const users = schema.table(
  'users',
  {
    id: integer().generatedByDefaultAsIdentity().primaryKey(),
    /** Name, e-mail address and phone: JSON under the person's data key (AES-256-GCM). Null once erased. */
    personal: bytes(),
    /** The person's data key, wrapped by the ring key that `ring_key` names. Without it, `personal` is unreadable. */
    data_key: bytes(),
    ring_key: text(),
    /** Keyed hash of the e-mail address in lower case: for look-up and uniqueness. */
    email_lookup: bytes(),
    role: text().$type<User['role']>().notNull().default('user'),
    locale: text().$type<User['locale']>().notNull().default(defaultLocale),
    status: text().$type<'active' | 'unverified' | 'erased'>().notNull().default('active'),
    /** Tokens of an older session version are refused. */
    session_version: integer().notNull().default(1),
    version: integer().notNull().default(1),
    /** When the mailbox was confirmed. Default: at once, for existing users and for those that an administrator confirms. */
    email_confirmed_at: timestamptz().defaultNow(),
    /** A new address that is not confirmed yet, under the person's data key. */
    pending_email: bytes(),
    /** Of the phone, if there is one. */
    phone_confirmed_at: timestamptz().defaultNow(),
    created_at: timestamptz().notNull().defaultNow(),
    erased_at: timestamptz(),
    /** Plain text of the first release; emptied when the service starts, and removed in the next release. */
    name: text(),
    email: text(),
    phone: text(),
  },
  (table) => [
    uniqueIndex('users_email_lookup').on(table.email_lookup),
    /** Finds rows in plain text, and keeps their addresses unique. */
    uniqueIndex('users_email').on(sql`lower(${table.email})`),
    index('users_page').on(table.created_at.desc().nullsFirst(), table.id.desc().nullsFirst()),
    index('users_ring_key').on(table.ring_key),
  ],
)

const ofUser = () =>
  integer()
    .notNull()
    .references(() => users.id, { onDelete: 'cascade' })

export const credentials = schema.table('credentials', {
  user_id: ofUser().primaryKey(),
  /** argon2id in PHC form. */
  password_hash: text().notNull(),
  changed_at: timestamptz().notNull().defaultNow(),
})

/** One row per refresh token; a family is one session. */
export const refreshTokens = schema.table(
  'refresh_tokens',
  {
    /** SHA-256 of the token: a copy of the table signs nobody in. */
    token_hash: bytes().primaryKey(),
    family: uuid().notNull(),
    user_id: ofUser(),
    session_version: integer().notNull(),
    /** How the person signed in, space-separated (RFC 8176). */
    amr: text().notNull().default('pwd'),
    created_at: timestamptz().notNull().defaultNow(),
    expires_at: timestamptz().notNull(),
    used_at: timestamptz(),
    revoked_at: timestamptz(),
  },
  (table) => [index('refresh_tokens_family').on(table.family), index('refresh_tokens_user').on(table.user_id)],
)

/** Mailed tokens, each valid for one use. */
export const mailTokens = schema.table(
  'mail_tokens',
  {
    token_hash: bytes().primaryKey(),
    user_id: ofUser(),
    purpose: text().$type<MailPurpose>().notNull(),
    created_at: timestamptz().notNull().defaultNow(),
    expires_at: timestamptz().notNull(),
    used_at: timestamptz(),
  },
  (table) => [index('mail_tokens_user').on(table.user_id)],
)

/** Mails that committed events ask for: no token is issued without one. */
export const mailRequests = schema.table(
  'mail_requests',
  {
    event_id: uuid().primaryKey(),
    user_id: ofUser(),
    purpose: text().$type<MailRequestPurpose>().notNull(),
    /** The recipient, under the person's data key; null for the person's own address. */
    address: bytes(),
    created_at: timestamptz().notNull().defaultNow(),
    expires_at: timestamptz().notNull(),
  },
  (table) => [index('mail_requests_user').on(table.user_id), index('mail_requests_expiry').on(table.expires_at)],
)

export const secondFactors = schema.table('second_factors', {
  user_id: ofUser().primaryKey(),
  /** The TOTP secret, under the person's data key. */
  secret: bytes().notNull(),
  confirmed_at: timestamptz(),
  /** The newest time step whose code was used (RFC 6238): no code is accepted twice. */
  last_step: bigint({ mode: 'number' }).notNull().default(0),
})

export const recoveryCodes = schema.table(
  'recovery_codes',
  {
    user_id: ofUser(),
    code_hash: bytes().notNull(),
    used_at: timestamptz(),
  },
  (table) => [primaryKey({ columns: [table.user_id, table.code_hash] })],
)

/** Failed sign-ins, by account and by address. */
export const signInAttempts = schema.table(
  'sign_in_attempts',
  {
    /** Keyed hash of an e-mail address or of a network address. */
    key: bytes().primaryKey(),
    failures: integer().notNull(),
    expires_at: timestamptz().notNull(),
  },
  (table) => [index('sign_in_attempts_expiry').on(table.expires_at)],
)

export const outbox = outboxTable(schema)
export const subscriptions = subscriptionTable(schema)
