import { type SQL, sql } from 'drizzle-orm'
import { arrayLiteral, type Database } from '../../platform/db/database.ts'
import { allOf } from '../../platform/db/page.sql.ts'
import type { EventOf } from '../../platform/events/event.ts'
import { appendEvent, receiveEvents, type SqlDataOf } from '../../platform/events/outbox-repository.ts'
import type { PageRequest } from '../../platform/page.ts'
import type { orderContract } from './contract.ts'
import { inbox, outbox, stock } from './tables.ts'

export interface StockLevel {
  product_id: number
  available: number
}

export type LevelSet = { readonly outcome: 'set'; readonly level: StockLevel } | { readonly outcome: 'product_gone' }
export type Untracked = { readonly outcome: 'untracked'; readonly level: StockLevel } | { readonly outcome: 'not_tracked' }
/** With the last level; `unchanged` if the product had no stock, or its stock has ended before. */
export type StockEnd = { readonly outcome: 'ended'; readonly level: StockLevel } | { readonly outcome: 'unchanged' }

export type StockRepository = ReturnType<typeof createStockRepository>

type StockEvent<T extends 'inventory.set' | 'inventory.removed'> = EventOf<typeof orderContract, T, 'product_id' | 'available'>

const level: SqlDataOf<StockEvent<'inventory.set'>> = {
  product_id: sql<number>`source.product_id`,
  available: sql<number>`source.available`,
}

const ended = (level: StockLevel | undefined): StockEnd => (level ? { outcome: 'ended', level } : { outcome: 'unchanged' })

export const createStockRepository = (db: Database) => {
  /** Ends the stock of a deleted product, for each row of `cause`. A product that never had stock publishes no event. */
  const end = (productId: number, event: StockEvent<'inventory.removed'>, cause: SQL) => sql`
    changed as (
      insert into ${stock} as s (product_id, available, state, version) select ${productId}::int, 0, 'gone', 0 from ${cause}
      on conflict (product_id) do update set state = 'gone', version = s.version + 1 where s.state <> 'gone'
      returning s.product_id, s.product_id as id, s.version, s.available
    ), ended as (select * from changed where version > 0),
    event as (${appendEvent(outbox, event, sql`ended`, level)})
    select product_id, available from ended`

  return {
    /** Levels of stock-tracked products, ordered by id. */
    page: (productIds: readonly number[] | undefined, { limit, after }: PageRequest): Promise<StockLevel[]> =>
      db.run<StockLevel>(sql`
      select product_id, available from ${stock}
       where ${allOf([
         sql`product_id > ${after?.id ?? 0} and state = 'tracked'`,
         productIds && sql`product_id = any (${arrayLiteral(productIds)}::int[])`,
       ])}
       order by product_id limit ${limit + 1}`),

    /** `product_gone` also if the deletion became known a moment ago. */
    set: async (productId: number, available: number, event: StockEvent<'inventory.set'>): Promise<LevelSet> => {
      const [row] = await db.write<StockLevel>(sql`
      with changed as (
        insert into ${stock} as s (product_id, available) values (${productId}, ${available})
        on conflict (product_id) do update set available = excluded.available, state = 'tracked', version = s.version + 1 where s.state <> 'gone'
        returning s.product_id, s.product_id as id, s.version, s.available
      ), event as (${appendEvent(outbox, event, sql`changed`, level)})
      select product_id, available from changed`)
      return row ? { outcome: 'set', level: row } : { outcome: 'product_gone' }
    },

    /** Ends tracking. Returns the last level. */
    untrack: async (productId: number, event: StockEvent<'inventory.removed'>): Promise<Untracked> => {
      const [row] = await db.write<StockLevel>(sql`
      with changed as (
        update ${stock} set state = 'untracked', version = version + 1 where product_id = ${productId} and state = 'tracked'
        returning product_id, product_id as id, version, available
      ), event as (${appendEvent(outbox, event, sql`changed`, level)})
      select product_id, available from changed`)
      return row ? { outcome: 'untracked', level: row } : { outcome: 'not_tracked' }
    },

    /** Applies the event `cause` of a deleted product. Idempotent. */
    endAfter: async (cause: string, productId: number, event: StockEvent<'inventory.removed'>): Promise<StockEnd> => {
      const received = receiveEvents(inbox, sql`(select ${cause}::uuid as event_id) as cause`)
      const [row] = await db.write<StockLevel>(sql`with received as (${received}), ${end(productId, event, sql`received`)}`)
      return ended(row)
    },

    /** For a product whose event never came. */
    end: async (productId: number, event: StockEvent<'inventory.removed'>): Promise<StockEnd> => {
      const [row] = await db.write<StockLevel>(sql`with ${end(productId, event, sql`(select) as once`)}`)
      return ended(row)
    },
  }
}
