import { getTableColumns, type SQL, sql } from 'drizzle-orm'
import { readByIds } from '../../platform/coalesce.ts'
import { arrayLiteral, type Database, violatedConstraint } from '../../platform/db.ts'
import type { NewEvent } from '../../platform/events/event.ts'
import { appendEvent } from '../../platform/events/repository.ts'
import type { PageRequest } from '../../platform/page.ts'
import type { Product } from './contract.ts'
import { outbox, products } from './tables.ts'

export type NewProduct = Omit<Product, 'id' | 'created_at'>
export type ProductChanges = Partial<NewProduct>
export interface ProductFilter {
  /** Part of the name or of the sku, whatever its case. */
  readonly search?: string
  readonly active?: boolean
}
export type ProductRepository = ReturnType<typeof createProductRepository>

const { version: _, ...columns } = getTableColumns(products)
const fields = sql.raw(Object.keys(columns).join(', '))

/** The text itself inside LIKE: its own wildcards match nothing else. */
const contains = (text: string): string => `%${text.replace(/[\\%_]/g, '\\$&')}%`

export const createProductRepository = (db: Database) => {
  /** `source` has the id and the version after the change. */
  const change = async (
    statement: SQL,
    event: NewEvent,
    changed: readonly string[],
    source = sql`changed`,
  ): Promise<Product | undefined> => {
    const [row] = await db.run<Product>(sql`
      with changed as (${statement} returning *),
      event as (${appendEvent(outbox, event, source, sql`${JSON.stringify({ fields: changed })}::jsonb`)})
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
      const named = sql`(select value from jsonb_array_elements_text(${JSON.stringify(names)}::jsonb))`
      return db.run<Product>(sql`
        select ${fields} from ${products}
         where id = any (${arrayLiteral(ids)}::int[]) or sku in ${named} or name in ${named} limit 1000`)
    },

    page: ({ limit, after }: PageRequest, { search, active }: ProductFilter): Promise<Product[]> => {
      const pattern = search === undefined ? undefined : contains(search)
      const conditions = [
        after && sql`(${products.created_at}, ${products.id}) < (${after.at}::timestamptz, ${after.id}::int)`,
        pattern && sql`(${products.name} ilike ${pattern} or ${products.sku} ilike ${pattern})`,
        active !== undefined && sql`${products.active} = ${active}`,
      ].filter((condition): condition is SQL => Boolean(condition))
      return db.use((orm) =>
        orm
          .select(columns)
          .from(products)
          .where(conditions.length > 0 ? sql.join(conditions, sql` and `) : undefined)
          .orderBy(sql`${products.created_at} desc, ${products.id} desc`)
          .limit(limit + 1),
      )
    },

    /** Undefined when the sku is taken: the constraint decides, so two at once cannot both win. */
    insert: (product: NewProduct, event: NewEvent): Promise<Product | undefined> =>
      change(
        sql`insert into ${products} (sku, name, description, price, currency, active)
            values (${product.sku}, ${product.name}, ${product.description}, ${product.price}, ${product.currency}, ${product.active})
            on conflict do nothing`,
        event,
        Object.keys(product),
      ),

    /** @returns the product, undefined when there is none, 'taken' when the sku is another's */
    update: async (id: number, changes: ProductChanges, event: NewEvent): Promise<Product | undefined | 'taken'> => {
      const sets = Object.entries(changes).map(([column, value]) => sql`${sql.identifier(column)} = ${value}`)
      try {
        return await change(
          sql`update ${products} set ${sql.join([...sets, sql`version = version + 1`], sql`, `)} where id = ${id}`,
          event,
          Object.keys(changes),
        )
      } catch (error) {
        if (violatedConstraint(error) === 'products_sku') return 'taken'
        throw error
      }
    },

    remove: (id: number, event: NewEvent): Promise<Product | undefined> =>
      change(sql`delete from ${products} where id = ${id}`, event, [], sql`(select id, version + 1 as version from changed)`),

    /** Products with their ids, into an empty table only; later ids go on from there. */
    seed: async (rows: readonly Product[]): Promise<void> => {
      await db.run(sql`
        with seeded as (
          insert into ${products} (${fields})
          select ${fields} from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
              as r(id int, sku text, name text, description text, price bigint, currency text, active boolean, created_at timestamptz)
           where not exists (select from ${products})
          returning id
        )
        select setval(pg_get_serial_sequence('products.products', 'id'), max(id)) from seeded having count(*) > 0`)
    },
  }
}
