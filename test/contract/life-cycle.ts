import type { Test } from 'tap'
import { availableOf, type Client, isProblem, newOrder, newProduct, newUser } from './target.ts'

export const lifeCycleSuite = async (t: Test, client: Client): Promise<void> => {
  const user = await newUser(client)
  const product = await newProduct(client, {}, 1000)
  const make = (quantity = 1) => newOrder(client, { user_id: user.id, items: [{ product_id: product.id, quantity }] })
  const step = (id: number, status: string) => client.patch(`/orders/${id}`, { status })

  await t.test('pending, processing, completed', async (t) => {
    const order = await make()
    isProblem(t, await step(order.id, 'completed'), 409, 'order.invalid_transition', { from: 'pending', to: 'completed' })
    isProblem(t, await step(order.id, 'pending'), 409, 'order.invalid_transition')
    const processing = await step(order.id, 'processing')
    t.equal(processing.status, 200)
    t.same(processing.body.data, { ...order, status: 'processing' })
    isProblem(t, await step(order.id, 'processing'), 409, 'order.invalid_transition')
    t.equal((await step(order.id, 'completed')).body.data.status, 'completed')
    for (const status of ['pending', 'processing', 'completed', 'cancelled'])
      isProblem(t, await step(order.id, status), 409, 'order.invalid_transition', { from: 'completed', to: status })
    isProblem(t, await client.post(`/orders/${order.id}/cancel`), 409, 'order.invalid_transition')
    isProblem(t, await step(order.id, 'lost'), 400, 'request.invalid')
    isProblem(t, await client.patch(`/orders/${order.id}`, { status: 'completed', total: 1 }), 400, 'request.invalid')
    isProblem(t, await step(2_000_000_000, 'processing'), 404, 'order.not_found')
    isProblem(t, await client.post('/orders/2000000000/cancel'), 404, 'order.not_found')
  })

  await t.test('a cancelled order gives its stock back, once', async (t) => {
    const before = await availableOf(client, product.id)
    const [pending, processing] = [await make(3), await make(4)]
    await step(processing.id, 'processing')
    t.equal(await availableOf(client, product.id), (before ?? 0) - 7)
    const cancelled = await client.post(`/orders/${pending.id}/cancel`)
    t.equal(cancelled.status, 200)
    t.same(cancelled.body.data, { ...pending, status: 'cancelled' })
    t.equal((await step(processing.id, 'cancelled')).body.data.status, 'cancelled')
    t.equal(await availableOf(client, product.id), before)
    isProblem(t, await client.post(`/orders/${pending.id}/cancel`), 409, 'order.invalid_transition')

    const order = await make(5)
    const answers = await Promise.all(Array.from({ length: 6 }, () => client.post(`/orders/${order.id}/cancel`)))
    t.same(answers.map(({ status }) => status).sort(), [200, 409, 409, 409, 409, 409], 'of several at once, one')
    t.equal(await availableOf(client, product.id), before)
  })
}
