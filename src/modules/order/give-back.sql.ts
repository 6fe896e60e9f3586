import { type SQL, sql } from 'drizzle-orm'
import type { EventOf } from '../../platform/events/event.ts'
import type { SqlDataOf } from '../../platform/events/outbox-repository.ts'
import type { OrderStatus, orderContract } from './contract.ts'
import { orderItems, stock } from './tables.ts'

/** CTEs that give back what each cancelled order of the CTE `o` took from the stock. */
export const giveBack: SQL = sql`
      returned as (
        select i.product_id, sum(coalesce(i.taken, i.quantity)) as quantity from ${orderItems} i join o on o.id = i.order_id
         where o.status = 'cancelled' group by i.product_id
      ), locked as materialized ( -- in product order, as placing does: two at once cannot wait for each other
        select s.product_id from ${stock} s
         where s.product_id in (select product_id from returned where quantity > 0) and s.state = 'tracked' order by s.product_id for update
      ), restocked as (
        update ${stock} as s set available = s.available + r.quantity from returned r join locked using (product_id)
         where s.product_id = r.product_id
      )`

export type StepEvent<T extends 'order.status_changed' | 'order.cancelled'> = EventOf<
  typeof orderContract,
  T,
  'order_id' | 'user_id' | 'total' | 'currency' | 'from' | 'to'
>

/** The event data of a transition, over rows that also have the previous status, as `was`. */
export const stepData: SqlDataOf<StepEvent<'order.cancelled'>> = {
  order_id: sql<number>`source.id`,
  user_id: sql<number>`source.user_id`,
  total: sql<number>`source.total`,
  currency: sql<string>`source.currency`,
  from: sql<OrderStatus>`source.was`,
  to: sql<OrderStatus>`source.status`,
}
