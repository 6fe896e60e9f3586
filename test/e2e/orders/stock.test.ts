import fc from 'fast-check'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { orderContract } from '../../../src/modules/order/contract.ts'
import { createStockRepository } from '../../../src/modules/order/stock-repository.ts'
import { anonymous } from '../../../src/platform/context.ts'
import { createDatabase } from '../../../src/platform/db/database.ts'
import { newEvent } from '../../../src/platform/events/event.ts'
import { newTraceparent, newUuid } from '../../../src/platform/ids.ts'
import { amounts } from '../../../testing/amounts.ts'
import { runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { startService } from '../../../testing/service.ts'

t.setTimeout(600_000)

const start = async (t: Test, env: Record<string, string> = {}) => {
  const running = await runApp(t, env)
  const sql = postgres(running.databaseUrl, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  return { ...running, sql }
}
type Running = Awaited<ReturnType<typeof start>>

const running = await start(t)
const { api, sql, databaseUrl, dataDir } = running
let made = 0
/** Creates a product with this stock. */
const stocked = async (available: number): Promise<number> => {
  const { id } = (await api('/products', 'POST', { sku: `STOCK-${++made}`, name: 'Lamp', price: 1 })).body.data
  await api(`/inventory/${id}`, 'PUT', { available })
  return id
}
const levelOf = async (id: number): Promise<number | undefined> =>
  (await api(`/inventory?product_ids=${id}`)).body.data[0]?.available

/** The expected state of a product; `available` is undefined if its stock is not tracked. */
interface Product {
  readonly id: number
  available: number | undefined
  deleted: boolean
}
interface Order {
  readonly id: number
  /** Quantities taken from the stock, by product. */
  readonly taken: readonly (readonly [Product, number])[]
  cancelled: boolean
}

type Act =
  | { readonly act: 'order'; readonly lines: readonly (readonly [product: number, quantity: number])[] }
  | { readonly act: 'cancel'; readonly order: number }
  | { readonly act: 'set'; readonly product: number; readonly available: number }
  | { readonly act: 'untrack' | 'delete'; readonly product: number }

const product = fc.nat({ max: 2 })
const quantity = fc.integer({ min: 1, max: 4 })
const acts: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      act: fc.constant('order' as const),
      lines: fc.array(fc.tuple(product, quantity), { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ act: fc.constant('cancel' as const), order: fc.nat({ max: 9 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      act: fc.constant('set' as const),
      product,
      available: fc.oneof(fc.nat({ max: 12 }), fc.constant(2_147_483_647)),
    }),
  },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('untrack' as const), product }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('delete' as const), product }) },
)

/** A shop of three products, and a model of its expected state. */
const openShop = async ({ api }: Running, name: string) => {
  const make = async (n: number): Promise<Product> => {
    const { body } = await api('/products', 'POST', { sku: `${name}-${n}`, name: `${name} ${n}`, price: 1 })
    return { id: body.data.id, available: undefined, deleted: false }
  }
  const products = await Promise.all([0, 1, 2].map(make))
  const orders: Order[] = []
  const levels = async () => {
    const { data } = (await api(`/inventory?product_ids=${products.map(({ id }) => id).join()}`)).body
    const found = new Map(data.map((level: { product_id: number; available: number }) => [level.product_id, level.available]))
    return products.map(({ id }) => found.get(id))
  }
  const expected = () => products.map(({ available }) => available)

  const order = async (lines: readonly (readonly [number, number])[]) => {
    const wanted = new Map<Product, number>()
    for (const [n, pieces] of lines) {
      const one = products[n] as Product
      wanted.set(one, (wanted.get(one) ?? 0) + pieces)
    }
    const items = lines.map(([n, quantity]) => ({ product_id: (products[n] as Product).id, quantity }))
    const { status, body } = await api('/orders', 'POST', { user_id: 3, items })
    const scarce = [...wanted].some(([{ available }, pieces]) => available !== undefined && available < pieces)
    const gone = [...wanted.keys()].some(({ deleted }) => deleted)
    if (status !== (gone ? 404 : scarce ? 409 : 201)) return `an order got status ${status}`
    if (status !== 201) return
    const taken = [...wanted].filter(([{ available }]) => available !== undefined)
    for (const [one, pieces] of taken) one.available = (one.available ?? 0) - pieces
    orders.push({ id: body.data.id, taken, cancelled: false })
  }
  const cancel = async (n: number) => {
    const one = orders[n % Math.max(1, orders.length)]
    if (!one) return
    const { status } = await api(`/orders/${one.id}/cancel`, 'POST')
    if (status !== 200) return `a cancellation got status ${status}`
    if (!one.cancelled) for (const [from, pieces] of one.taken) if (from.available !== undefined) from.available += pieces
    one.cancelled = true
  }
  const set = async (one: Product, available: number) => {
    const { status } = await api(`/inventory/${one.id}`, 'PUT', { available })
    if (status !== (one.deleted ? 404 : 200)) return `a level got status ${status}`
    if (!one.deleted) one.available = available
  }
  const untrack = async (one: Product) => {
    const { status } = await api(`/inventory/${one.id}`, 'DELETE')
    if (status !== (one.available === undefined ? 404 : 200)) return `untracking got status ${status}`
    one.available = undefined
  }
  const remove = async (one: Product) => {
    const { status } = await api(`/products/${one.id}`, 'DELETE')
    if (status !== (one.deleted ? 404 : 200)) return `a deletion got status ${status}`
    one.deleted = true
    one.available = undefined
    await eventually(async () => (await levels())[products.indexOf(one)] === undefined)
  }
  const perform = async (act: Act): Promise<string | undefined> => {
    if (act.act === 'order') return order(act.lines)
    if (act.act === 'cancel') return cancel(act.order)
    const one = products[act.product] as Product
    if (act.act === 'set') return set(one, act.available)
    return act.act === 'untrack' ? untrack(one) : remove(one)
  }
  return { perform, levels, expected }
}

t.test('any sequence of orders, cancellations, levels and deletions: cancelled stock is returned exactly once', async (t) => {
  const seed = Number(process.env.FUZZ_SEED ?? 20_250_101)
  let shops = 0
  await fc.assert(
    fc.asyncProperty(fc.array(acts, { minLength: 4, maxLength: 14 }), async (sequence) => {
      const shop = await openShop(running, `SHOP-${++shops}`)
      for (const [n, act] of sequence.entries()) {
        const problem = await shop.perform(act)
        const [found, expected] = [JSON.stringify(await shop.levels()), JSON.stringify(shop.expected())]
        if (problem || found !== expected)
          throw new Error(`${problem ?? ''} ${n} ${JSON.stringify(act)}: ${found}, expected ${expected}`)
      }
    }),
    { seed, numRuns: Number(process.env.FUZZ_RUNS ?? amounts.shops) },
  )
  t.ok(shops >= 10, `${shops} shops`)
})

t.test('a duplicate event of a deleted product removes its stock once', async (t) => {
  const [deleted, other] = [await stocked(9), await stocked(8)]
  await api(`/products/${deleted}`, 'DELETE')
  await eventually(async () => (await levelOf(deleted)) === undefined)
  const [row] = await sql`select state, version from orders.stock where product_id = ${deleted}`
  t.same(row, { state: 'gone', version: 2 })

  const db = createDatabase({ url: databaseUrl, max: 1, statementTimeoutMs: 5000, applicationName: 'test' })
  t.teardown(() => db.close())
  const repository = createStockRepository(db)
  const event = () =>
    newEvent(orderContract, 'inventory.removed', { actor: anonymous, traceparent: newTraceparent(), policyVersion: '' })
  const [handled] = await sql`select event_id from orders.inbox limit 1`
  t.same(
    await repository.endAfter(handled?.event_id, other, event()),
    { outcome: 'unchanged' },
    'a handled event has no further effect',
  )
  t.equal(await levelOf(other), 8)
  t.same(await repository.endAfter(newUuid(), other, event()), { outcome: 'ended', level: { product_id: other, available: 8 } })
  t.same(
    await repository.endAfter(newUuid(), other, event()),
    { outcome: 'unchanged' },
    'another event about the same product has no effect',
  )
})

t.test('a level set after a product was deleted does not restore its stock', async (t) => {
  const id = await stocked(3)
  await sql`update orders.stock set state = 'gone', version = version + 1 where product_id = ${id}`
  t.match(await api(`/inventory/${id}`, 'PUT', { available: 1 }), { status: 404, body: { code: 'product.not_found' } })
  t.match(await api(`/inventory/${id}`, 'DELETE'), { status: 404, body: { code: 'inventory.not_tracked' } })
  t.equal(await levelOf(id), undefined)
})

t.test('a repeated cancellation writes nothing', async (t) => {
  const product = await stocked(5)
  const { id } = (await api('/orders', 'POST', { user_id: 3, items: [{ product_id: product, quantity: 1 }] })).body.data
  const cancel = () => api(`/orders/${id}/cancel`, 'POST')
  const answers = [...(await Promise.all([cancel(), cancel(), cancel()])), await cancel()]
  t.same(
    answers.map(({ status }) => status),
    [200, 200, 200, 200],
  )
  const [row] = await sql`select version from orders.orders where id = ${id}`
  t.same([row?.version, await levelOf(product)], [2, 5], 'one event, because each event is a version')
})

t.test('an order of an older release, which did not record what it took, returns its whole quantity', async (t) => {
  const product = await stocked(10)
  const place = async () =>
    (await api('/orders', 'POST', { user_id: 3, items: [{ product_id: product, quantity: 3 }] })).body.data.id
  const [old, newer] = [await place(), await place()]
  await sql`update orders.order_items set taken = null where order_id = ${old}`
  for (const id of [old, newer]) await api(`/orders/${id}/cancel`, 'POST')
  t.equal(await levelOf(product), 10)
})

t.test('stock of products missing from the catalogue is removed, unless the catalogue has none of them', async (t) => {
  const tracked = async () =>
    (await sql`select product_id from orders.stock where state = 'tracked' order by 1`).map(({ product_id }) => product_id)
  const known = await tracked()
  // As older releases left it, which did not consume the event.
  await sql`insert into orders.stock (product_id, available) select n, 7 from generate_series(1001, 1230) n`
  const startAgain = async () => {
    const service = await startService('all', { DATABASE_URL: databaseUrl, DATA_DIR: dataDir })
    t.teardown(() => service.kill())
    return service
  }
  await sql`update products.products set id = id + 5000`
  const first = await startAgain()
  await eventually(() => /the catalogue has none of the products/.test(first.output()))
  t.equal((await tracked()).length, known.length + 230, 'stock is kept if the catalogue has none of the products')
  await first.kill()

  await sql`update products.products set id = id - 5000`
  await startAgain()
  await eventually(async () => (await tracked()).length === known.length)
  t.same(await tracked(), known, 'stock of existing products is kept')
  t.equal((await api('/inventory?product_ids=1001,1230')).body.count, 0)
  await eventually(async () => (await sql`select from orders.outbox`).length === 0)
  const [trail] = await sql`
    select count(distinct resource_id)::int as n from audits.entries where action = 'inventory.removed' and actor_type = 'service' and actor_id = 'order' and resource_id::int > 1000`
  t.equal(trail?.n, 230, 'the trail has an entry for each')
})
