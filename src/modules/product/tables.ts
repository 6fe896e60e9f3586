import { sql } from 'drizzle-orm'
import { bigint, boolean, index, integer, pgSchema, text } from 'drizzle-orm/pg-core'
import { outboxTable, subscriptionTable, timestamptz } from '../../platform/events/tables.ts'

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
    created_at: timestamptz().notNull().defaultNow(),
    /**
     * Name and sku as the search compares them, folded by the application: the same under every locale of the database. They
     * belong to the row's version `folded_version`. An earlier release does not write them and leaves them stale.
     */
    name_folded: text(),
    sku_folded: text(),
    folded_version: integer(),
  },
  (table) => [
    index('products_page').on(table.created_at.desc().nullsFirst(), table.id.desc().nullsFirst()),
    index('products_name').on(table.name),
    /** Finds stale rows; usually empty. */
    index('products_stale').on(table.id).where(sql`${table.folded_version} is distinct from ${table.version}`),
  ],
)

export const outbox = outboxTable(schema)
export const subscriptions = subscriptionTable(schema)
