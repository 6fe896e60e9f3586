import { bigint, boolean, index, integer, pgSchema, text } from 'drizzle-orm/pg-core'
import { moment, outboxTable } from '../../platform/events/tables.ts'

export const schema = pgSchema('products')

export const products = schema.table(
  'products',
  {
    id: integer().generatedByDefaultAsIdentity().primaryKey(),
    sku: text().notNull().unique('products_sku'),
    name: text().notNull(),
    description: text().notNull().default(''),
    price: bigint({ mode: 'number' }).notNull(),
    currency: text().notNull().default('TWD'),
    active: boolean().notNull().default(true),
    version: integer().notNull().default(1),
    created_at: moment().notNull().defaultNow(),
  },
  (table) => [
    index('products_page').on(table.created_at.desc().nullsFirst(), table.id.desc().nullsFirst()),
    index('products_name').on(table.name),
  ],
)

export const outbox = outboxTable(schema)
