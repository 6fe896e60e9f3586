import type { Test } from 'tap'
import { eventually } from '../../testing/eventually.ts'
import { availableOf, type Client, isProblem, newOrder, newProduct, newUser } from './target.ts'

export const lifeCycleSuite = async (t: Test, client: Client): Promise<void> => {
  const user = await newUser(client)
  const product = await newProduct(client, {}, 1000)
  const make = (quantity = 1) => newOrder(client, { user_id: user.id, items: [{ product_id: product.id, quantity }] })
  const step = (id: number, status: string) => client.patch(`/orders/${id}`, { status })

  await t.test('pending, processing, completed', async (t) => {
    const order = await make()
    const early = await step(order.id, 'completed')
    isProblem(t, early, 409, 'order.invalid_transition', {
      ...{ from: 'pending', to: 'completed', allowed: ['processing', 'cancelled'] },
      detail: /Allowed: processing, cancelled\.$/,
    })
    const processing = await step(order.id, 'processing')
    t.equal(processing.status, 200)
    t.same(processing.body.data, { ...order, status: 'processing' })
    isProblem(t, await step(order.id, 'pending'), 409, 'order.invalid_transition', { allowed: ['completed', 'cancelled'] })
    t.equal((await step(order.id, 'completed')).body.data.status, 'completed')
    for (const status of ['pending', 'processing', 'cancelled'])
      isProblem(t, await step(order.id, status), 409, 'order.invalid_transition', { from: 'completed', to: status, allowed: [] })
    const late = await client.post(`/orders/${order.id}/cancel`, undefined, { 'accept-language': 'zh-TW' })
    isProblem(t, late, 409, 'order.invalid_transition', { detail: /^狀態為 completed 的訂單.*：無。$/ })
    isProblem(t, await step(order.id, 'lost'), 400, 'request.invalid')
    isProblem(t, await client.patch(`/orders/${order.id}`, { status: 'completed', total: 1 }), 400, 'request.invalid')
    isProblem(t, await step(2_000_000_000, 'processing'), 404, 'order.not_found')
    isProblem(t, await client.post('/orders/2000000000/cancel'), 404, 'order.not_found')
  })

  await t.test('a repeated step returns the order and has no further effect', async (t) => {
    const buyer = await newUser(client)
    const order = await newOrder(client, { user_id: buyer.id, items: [{ product_id: product.id, quantity: 2 }] })
    const before = (await availableOf(client, product.id)) ?? 0
    for (const status of ['pending', 'processing', 'cancelled']) {
      const answers = await Promise.all(Array.from({ length: 5 }, () => step(order.id, status)))
      t.same([...new Set(answers.map((answer) => answer.status))], [200], `${status}, five concurrent requests`)
      for (const { body } of answers) t.same(body.data, { ...order, status })
      t.same((await step(order.id, status)).body.data, { ...order, status }, `${status} again`)
    }
    t.equal((await client.post(`/orders/${order.id}/cancel`)).status, 200)
    t.equal(await availableOf(client, product.id), before + 2, 'the stock was returned once')
    const notes = async () => (await client.get(`/notifications?order_id=${order.id}`)).body.data
    const data = await eventually(async () => {
      const there = await notes()
      return there.length >= 3 && there
    })
    t.same(
      data.map(({ event_type }: { event_type: string }) => event_type).sort(),
      ['order.cancelled', 'order.created', 'order.status_changed'],
      'one event for each step that changed the order',
    )
  })

  await t.test('a cancelled order returns its stock once', async (t) => {
    const before = await availableOf(client, product.id)
    const [pending, processing] = [await make(3), await make(4)]
    await step(processing.id, 'processing')
    t.equal(await availableOf(client, product.id), (before ?? 0) - 7)
    const cancelled = await client.post(`/orders/${pending.id}/cancel`)
    t.equal(cancelled.status, 200)
    t.same(cancelled.body.data, { ...pending, status: 'cancelled' })
    t.equal((await step(processing.id, 'cancelled')).body.data.status, 'cancelled')
    t.equal(await availableOf(client, product.id), before)
    t.same(
      (await client.post(`/orders/${pending.id}/cancel`)).body.data,
      cancelled.body.data,
      'a repeated request gets the same response',
    )

    const order = await make(5)
    const answers = await Promise.all(Array.from({ length: 6 }, () => client.post(`/orders/${order.id}/cancel`)))
    t.same(
      answers.map(({ status }) => status).sort(),
      [200, 200, 200, 200, 200, 200],
      'each of several concurrent requests succeeds',
    )
    t.equal(await availableOf(client, product.id), before)
  })

  await t.test('an order can be cancelled even if the stock was set to the maximum', async (t) => {
    const most = 2_147_483_647
    const bought = await newProduct(client, {}, 20_000)
    const orders = []
    for (const quantity of [5, 10_000])
      orders.push(await newOrder(client, { user_id: user.id, items: [{ product_id: bought.id, quantity }] }))
    await client.put(`/inventory/${bought.id}`, { available: most })
    for (const { id } of orders) t.equal((await client.post(`/orders/${id}/cancel`)).body.data?.status, 'cancelled')
    t.equal(await availableOf(client, bought.id), most + 10_005)
    t.equal((await make(1)).status, 'pending', 'other orders can be placed')
    await newOrder(client, { user_id: user.id, items: [{ product_id: bought.id, quantity: 4 }] })
    t.equal(await availableOf(client, bought.id), most + 10_001)
  })

  await t.test('a total that is too large for exact JSON numbers is refused', async (t) => {
    const dear = []
    for (let n = 0; n < 100; n++) dear.push((await newProduct(client, { price: 1_000_000_000 })).id)
    const lines = dear.map((product_id) => ({ product_id, quantity: 10_000 }))
    isProblem(t, await client.post('/orders', { user_id: user.id, items: lines }), 422, 'order.total_too_large', {
      detail: /999999999999999; .* 1000000000000000\./,
    })
    const order = await newOrder(client, {
      user_id: user.id,
      items: [...lines.slice(1), { product_id: dear[0], quantity: 9_999 }],
    })
    t.equal(order.total, 999_999_000_000_000)
    t.equal((await client.get(`/orders/${order.id}`)).body.data.total, 999_999_000_000_000)
  })
}
