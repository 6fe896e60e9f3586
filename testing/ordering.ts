import postgres from 'postgres'
import type { Test } from 'tap'
import { call } from './app.ts'
import { eventually } from './eventually.ts'

export interface Ordering {
  /** Milliseconds from `since` (performance.now()) to the response to the first order that was sent after it. */
  served(since: number): Promise<number>
  /** Milliseconds from `since` until an order that was sent after it is on the audit trail. */
  delivered(since: number): Promise<number>
  /** Stops, and waits until every order with a 201 is on the trail; `databaseUrl` is the current database. */
  stop(databaseUrl?: string): Promise<Outcome>
}

export interface Outcome {
  readonly placed: number
  readonly statuses: Readonly<Record<string, number>>
  /** Orders with a 201 that are not in the database, or whose event is not on the trail. */
  readonly lost: number
  /** More than one order for an idempotency key, or more than one event for an order. */
  readonly doubled: number
}

interface Placed {
  readonly id: number
  readonly askedAt: number
  readonly answeredAt: number
}

const everyMs = 100

/** Places one order after another, also while dependencies of the service fail. */
export const startOrdering = (url: string, databaseUrl: string): Ordering => {
  const placed: Placed[] = []
  const statuses: Record<string, number> = {}
  let serial = 0

  const one = async () => {
    const askedAt = performance.now()
    const headers = { 'idempotency-key': `ordering-${++serial}` }
    const order = { user_id: 3, items: [{ product_id: 2, quantity: 1 }] }
    const answer = await call(`${url}/api/v1/orders`, 'POST', order, headers).catch(() => undefined)
    const status = String(answer?.status ?? 'none')
    statuses[status] = (statuses[status] ?? 0) + 1
    if (answer?.status === 201) placed.push({ id: answer.body.data.id, askedAt, answeredAt: performance.now() })
  }
  const open = new Set<Promise<void>>()
  const timer = setInterval(() => {
    if (open.size > 50) return
    const work = one().finally(() => open.delete(work))
    open.add(work)
  }, everyMs)

  const onTrail = async (at: string, ids: readonly number[]) => {
    const sql = postgres(at, { max: 1, onnotice: () => {}, connect_timeout: 2 })
    try {
      const rows = await sql<{ id: number; orders: number; entries: number }[]>`
        select o.id::int as id, count(distinct o.id)::int as orders, count(e.id)::int as entries
          from orders.orders o
          left join audits.entries e on e.action = 'order.created' and e.resource_id = o.id::text
         where o.id = any(${`{${ids.join()}}`}::int[]) group by o.id`
      const [keys] = await sql<{ extra: number }[]>`
        select count(*)::int - count(distinct idempotency_key)::int as extra from orders.orders where idempotency_key is not null`
      return { entries: new Map(rows.map(({ id, entries }) => [id, entries])), extra: keys?.extra ?? 0 }
    } finally {
      await sql.end({ timeout: 1 })
    }
  }
  const after = (since: number) => placed.filter(({ askedAt }) => askedAt > since)
  const long = { timeoutMs: 120_000, everyMs: 250 }

  return {
    served: async (since) => {
      const first = await eventually(() => after(since)[0] ?? false, long)
      return Math.round(first.answeredAt - since)
    },
    delivered: async (since) => {
      await eventually(async () => {
        const ids = after(since).map(({ id }) => id)
        return ids.length > 0 && [...(await onTrail(databaseUrl, ids)).entries.values()].some((entries) => entries > 0)
      }, long)
      return Math.round(performance.now() - since)
    },
    stop: async (at = databaseUrl) => {
      clearInterval(timer)
      await Promise.all(open)
      const ids = placed.map(({ id }) => id)
      const complete = async () => {
        const { entries } = await onTrail(at, ids)
        return ids.every((id) => (entries.get(id) ?? 0) > 0)
      }
      await eventually(complete, long).catch(() => {})
      const { entries, extra } = await onTrail(at, ids)
      const counts = ids.map((id) => entries.get(id) ?? 0)
      return {
        placed: ids.length,
        statuses,
        lost: counts.filter((count) => count === 0).length,
        doubled: extra + counts.reduce((sum, count) => sum + Math.max(0, count - 1), 0),
      }
    },
  }
}

/** Stops placing orders and checks: no order or event is lost or duplicated, and clients got only 201 and 503. */
export const endWithoutLoss = async (t: Test, ordering: Pick<Ordering, 'stop'>): Promise<void> => {
  const { placed, statuses, lost, doubled } = await ordering.stop()
  t.comment(`${placed} orders; answers ${JSON.stringify(statuses)}; lost ${lost}, doubled ${doubled}`)
  t.equal(lost, 0, 'every order with a 201 exists, and its event is on the trail')
  t.equal(doubled, 0, 'once')
  t.same(
    Object.keys(statuses).filter((status) => status !== '201' && status !== '503'),
    [],
    'a client gets 201 or 503',
  )
}
