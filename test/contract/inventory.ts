import type { Test } from 'tap'
import { eventually } from '../../testing/eventually.ts'
import { allPages, availableOf, type Client, isProblem, newOrder, newProduct, newUser } from './target.ts'

export const inventorySuite = async (t: Test, client: Client): Promise<void> => {
  await t.test('set and read', async (t) => {
    const product = await newProduct(client)
    t.same((await client.get(`/inventory?product_ids=${product.id}`)).body, { success: true, data: [], count: 0 }, 'not tracked')
    const set = await client.put(`/inventory/${product.id}`, { available: 12 })
    t.equal(set.status, 200)
    t.same(set.body.data, { product_id: product.id, available: 12 })
    t.equal((await client.put(`/inventory/${product.id}`, { available: 0 })).body.data.available, 0)
    t.equal(await availableOf(client, product.id), 0)
    const some = await client.get(`/inventory?product_ids=${product.id},3,1`)
    t.same(
      some.body.data.map(({ product_id }: { product_id: number }) => product_id),
      [1, 3, product.id],
    )
  })

  await t.test('refused', async (t) => {
    isProblem(t, await client.put('/inventory/2000000000', { available: 1 }), 404, 'product.not_found')
    isProblem(t, await client.put('/inventory/1', { available: -1 }), 400, 'request.invalid')
    isProblem(t, await client.put('/inventory/1', { available: 1, reserved: 1 }), 400, 'request.invalid')
    isProblem(t, await client.get('/inventory?product_ids=1;2'), 400, 'request.invalid')
    isProblem(t, await client.get('/inventory?product_ids=9999999999'), 400, 'request.invalid')
    isProblem(t, await client.get('/inventory?limit=0'), 400, 'request.invalid')
  })

  await t.test('a product becomes untracked again', async (t) => {
    const [user, product] = [await newUser(client), await newProduct(client, {}, 3)]
    const order = (quantity: number) =>
      client.post('/orders', { user_id: user.id, items: [{ product_id: product.id, quantity }] })
    isProblem(t, await order(4), 409, 'order.out_of_stock')
    const tracked = await newOrder(client, { user_id: user.id, items: [{ product_id: product.id, quantity: 1 }] })
    const removed = await client.remove(`/inventory/${product.id}`)
    t.equal(removed.status, 200)
    t.same(removed.body.data, { product_id: product.id, available: 2 }, 'its last stock')
    t.equal(await availableOf(client, product.id), undefined)
    isProblem(t, await client.remove(`/inventory/${product.id}`), 404, 'inventory.not_tracked')
    isProblem(t, await client.remove('/inventory/2000000000'), 404, 'inventory.not_tracked')
    isProblem(t, await client.remove('/inventory/0'), 400, 'request.invalid')
    const free = await order(1000)
    t.equal(free.status, 201, 'always available')
    t.equal((await client.put(`/inventory/${product.id}`, { available: 7 })).status, 200)
    await client.post(`/orders/${free.body.data.id}/cancel`)
    t.equal(await availableOf(client, product.id), 7, 'an untracked order returns no stock')
    await client.post(`/orders/${tracked.id}/cancel`)
    t.equal(await availableOf(client, product.id), 8, 'a tracked order returns its stock')
  })

  await t.test('a deleted product has no stock', async (t) => {
    const [user, product, other] = [await newUser(client), await newProduct(client, {}, 9), await newProduct(client, {}, 9)]
    const items = [product, other].map(({ id }) => ({ product_id: id, quantity: 2 }))
    const order = await newOrder(client, { user_id: user.id, items })
    await client.remove(`/products/${product.id}`)
    await eventually(async () => (await availableOf(client, product.id)) === undefined)
    isProblem(t, await client.put(`/inventory/${product.id}`, { available: 1 }), 404, 'product.not_found')
    isProblem(t, await client.remove(`/inventory/${product.id}`), 404, 'inventory.not_tracked')
    t.equal((await client.post(`/orders/${order.id}/cancel`)).status, 200)
    t.same([await availableOf(client, product.id), await availableOf(client, other.id)], [undefined, 9])
  })

  await t.test('pages', async (t) => {
    await Promise.all(Array.from({ length: 4 }, () => newProduct(client, {}, 1)))
    const ids = (await allPages(client, '/inventory', 3)).map(({ product_id }) => product_id)
    t.same(
      ids,
      [...new Set(ids)].sort((a, b) => a - b),
      'sorted by product, no duplicates',
    )
    t.ok(ids.length >= 7)
  })
}
