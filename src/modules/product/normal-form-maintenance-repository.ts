import { sql } from 'drizzle-orm'
import type { Database } from '../../platform/db/database.ts'
import { products } from './tables.ts'

interface StoredProduct {
  readonly id: number
  readonly version: number
  readonly sku: string
  readonly name: string
}

export interface FoldedProduct extends StoredProduct {
  readonly name_folded: string
  readonly sku_folded: string
}

export type UpkeepRepository = ReturnType<typeof createNormalFormMaintenanceRepository>

export const createNormalFormMaintenanceRepository = (db: Database) => ({
  /** Up to `limit` products after the id `after` whose folded texts are stale. */
  stale: (after: number, limit: number): Promise<StoredProduct[]> =>
    db.run<StoredProduct>(sql`
      select id, version, sku, name from ${products}
       where folded_version is distinct from version and id > ${after} order by id limit ${limit}`),

  /**
   * Normalizes names and skus and stores the folded texts. A product that was changed meanwhile stays stale. A sku whose normal
   * form belongs to another product stays as it is. @returns the ids of these
   */
  fold: async (rows: readonly FoldedProduct[]): Promise<number[]> => {
    const kept = await db.run<{ id: number }>(sql`
      with input as materialized (
        select * from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
            as r(id int, version int, sku text, name text, name_folded text, sku_folded text)
      ), due as materialized ( -- in one order, so that two processes cannot wait for each other
        select i.*, p.sku <> i.sku and (exists (select from ${products} o where o.sku = i.sku and o.id <> i.id)
                    or exists (select from input e where e.sku = i.sku and e.id < i.id)) as doubled
          from ${products} p join input i using (id) where p.version = i.version order by p.id for update of p
      ), changed as (
        update ${products} as p
           set name = d.name, sku = case when d.doubled then p.sku else d.sku end,
               name_folded = d.name_folded, sku_folded = d.sku_folded, folded_version = p.version
          from due d where p.id = d.id
        returning p.id, d.doubled
      )
      select id from changed where doubled order by id`)
    return kept.map(({ id }) => id)
  },
})
