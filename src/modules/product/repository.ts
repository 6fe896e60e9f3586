import { getTableColumns, type SQL, sql } from 'drizzle-orm'
import { readByIds } from '../../platform/db/batch-loader.ts'
import { arrayLiteral, type Database, violatedConstraint } from '../../platform/db/database.ts'
import { allOf, equals, newestFirst } from '../../platform/db/page.sql.ts'
import type { EventOf } from '../../platform/events/event.ts'
import { appendEvent } from '../../platform/events/outbox-repository.ts'
import { fold, forms } from '../../platform/normal-form.ts'
import type { PageRequest } from '../../platform/page.ts'
import type { Product, productContract } from './contract.ts'
import { outbox, products } from './tables.ts'

export type NewProduct = Omit<Product, 'id' | 'created_at'>
export type ProductChanges = Partial<NewProduct>
export interface ProductFilter {
  /** Part of the name or the sku, ignoring case and Unicode form. */
  readonly search?: string
  readonly active?: boolean
}
type ProductEvent<T extends keyof (typeof productContract)['events']> = EventOf<typeof productContract, T>

export type Inserted = { readonly outcome: 'inserted'; readonly product: Product } | { readonly outcome: 'sku_taken' }
export type Updated =
  | { readonly outcome: 'updated'; readonly product: Product }
  | { readonly outcome: 'not_found' }
  | { readonly outcome: 'sku_taken' }
export type Removed = { readonly outcome: 'removed'; readonly product: Product } | { readonly outcome: 'not_found' }

export type ProductRepository = ReturnType<typeof createProductRepository>

const { version, name_folded, sku_folded, folded_version, ...columns } = getTableColumns(products)
const fields = sql.raw(Object.keys(columns).join(', '))

/** The literal text inside LIKE: its wildcards are escaped. */
const contains = (text: string): string => `%${text.replace(/[\\%_]/g, '\\$&')}%`

/**
 * Compares bytes, independent of the database's locale: the application has folded both sides. Rows that an earlier version wrote
 * are found by the database's own rules until they are folded.
 */
const matches = (search: string): SQL => {
  const [folded, typed] = [contains(fold(search)), contains(search)]
  const current = sql`${folded_version} = ${version} and (${name_folded} collate "C" like ${folded} or ${sku_folded} collate "C" like ${folded})`
  return sql`(${current} or ${folded_version} is distinct from ${version} and (${columns.name} ilike ${typed} or ${columns.sku} ilike ${typed}))`
}

export const createProductRepository = (db: Database) => {
  /** The changed row, if there is one. `source` has the id and the new version. */
  const change = async (
    statement: SQL,
    event: ProductEvent<keyof (typeof productContract)['events']>,
    source = sql`changed`,
  ): Promise<Product | undefined> => {
    const [row] = await db.write<Product>(sql`
      with changed as (${statement} returning *),
      event as (${appendEvent(outbox, event, source)})
      select ${fields} from changed`)
    return row
  }

  const selectByIds = db.prepare<Product>(
    sql`select ${fields} from ${products} where id = any (${sql.placeholder('ids')}::int[])`,
  )
  const findByIds = readByIds<Product>((ids) => selectByIds({ ids: arrayLiteral(ids) }))

  return {
    find: (ids: readonly number[], names: readonly string[] = []): Promise<Product[]> => {
      if (names.length === 0) return findByIds(ids)
      const anyOf = (texts: readonly string[]) =>
        sql`(select value from jsonb_array_elements_text(${JSON.stringify(texts)}::jsonb))`
      // Also unnormalized: an earlier version may have written them so.
      const inForm = (form: 'name' | 'sku') => anyOf([...names, ...names.map(forms[form].normal)])
      return db.run<Product>(sql`
        select ${fields} from ${products}
         where id = any (${arrayLiteral(ids)}::int[]) or sku in ${inForm('sku')} or name in ${inForm('name')} limit 1000`)
    },

    page: (page: PageRequest, { search, active }: ProductFilter): Promise<Product[]> => {
      const { after, orderBy, limit } = newestFirst(page, { at: products.created_at, id: products.id })
      const conditions = [after, search !== undefined && matches(search), equals(products.active, active)]
      return db.use((orm) => orm.select(columns).from(products).where(allOf(conditions)).orderBy(orderBy).limit(limit))
    },

    /** The constraint decides whether the sku is taken, so two concurrent requests cannot both win. */
    insert: async (product: NewProduct, event: ProductEvent<'product.created'>): Promise<Inserted> => {
      const inserted = await change(
        sql`insert into ${products} (sku, name, description, price, currency, active, name_folded, sku_folded, folded_version)
            values (${product.sku}, ${product.name}, ${product.description}, ${product.price}, ${product.currency}, ${product.active},
                    ${fold(product.name)}, ${fold(product.sku)}, 1)
            on conflict do nothing`,
        event,
      )
      return inserted ? { outcome: 'inserted', product: inserted } : { outcome: 'sku_taken' }
    },

    update: async (id: number, changes: ProductChanges, event: ProductEvent<'product.updated'>): Promise<Updated> => {
      const sets = [
        ...Object.entries(changes).map(([column, value]) => sql`${sql.identifier(column)} = ${value}`),
        ...(changes.name === undefined ? [] : [sql`name_folded = ${fold(changes.name)}`]),
        ...(changes.sku === undefined ? [] : [sql`sku_folded = ${fold(changes.sku)}`]),
        // Stale stays stale: the other text may be stale too.
        sql`folded_version = case when folded_version = version then version + 1 end`,
        sql`version = version + 1`,
      ]
      try {
        const updated = await change(sql`update ${products} set ${sql.join(sets, sql`, `)} where id = ${id}`, event)
        return updated ? { outcome: 'updated', product: updated } : { outcome: 'not_found' }
      } catch (error) {
        if (violatedConstraint(error) === 'products_sku') return { outcome: 'sku_taken' }
        throw error
      }
    },

    remove: async (id: number, event: ProductEvent<'product.deleted'>): Promise<Removed> => {
      const gone = sql`(select id, version + 1 as version from changed)`
      const removed = await change(sql`delete from ${products} where id = ${id}`, event, gone)
      return removed ? { outcome: 'removed', product: removed } : { outcome: 'not_found' }
    },

    /** Inserts products with their ids, but only into an empty table. Later ids continue from there. */
    seed: async (rows: readonly Product[]): Promise<void> => {
      const folded = rows.map((row) => ({ ...row, name_folded: fold(row.name), sku_folded: fold(row.sku) }))
      await db.run(sql`
        with seeded as (
          insert into ${products} (${fields}, name_folded, sku_folded, folded_version)
          select ${fields}, name_folded, sku_folded, 1 from jsonb_to_recordset(${JSON.stringify(folded)}::jsonb)
              as r(id int, sku text, name text, description text, price bigint, currency text, active boolean, created_at timestamptz,
                   name_folded text, sku_folded text)
           where not exists (select from ${products})
          returning id
        )
        select setval(pg_get_serial_sequence('products.products', 'id'), max(id)) from seeded having count(*) > 0`)
    },
  }
}
