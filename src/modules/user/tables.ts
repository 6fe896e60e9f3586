import { sql } from 'drizzle-orm'
import { index, integer, pgSchema, text, uniqueIndex } from 'drizzle-orm/pg-core'
import { moment, outboxTable } from '../../platform/events/tables.ts'
import type { User } from './contract.ts'

export const schema = pgSchema('users')

export const users = schema.table(
  'users',
  {
    id: integer().generatedByDefaultAsIdentity().primaryKey(),
    name: text().notNull(),
    email: text().notNull(),
    phone: text(),
    role: text().$type<User['role']>().notNull().default('user'),
    locale: text().$type<User['locale']>().notNull().default('en'),
    version: integer().notNull().default(1),
    created_at: moment().notNull().defaultNow(),
  },
  (table) => [
    uniqueIndex('users_email').on(sql`lower(${table.email})`),
    index('users_page').on(table.created_at.desc().nullsFirst(), table.id.desc().nullsFirst()),
  ],
)

export const outbox = outboxTable(schema)
