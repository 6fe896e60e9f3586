import type { Test } from 'tap'
import { allPages, availableOf, type Client, isProblem, newProduct } from './target.ts'

export const inventorySuite = async (t: Test, client: Client): Promise<void> => {
  await t.test('set and read', async (t) => {
    const product = await newProduct(client)
    t.same((await client.get(`/inventory?product_ids=${product.id}`)).body, { success: true, data: [], count: 0 }, 'not tracked')
    const set = await client.put(`/inventory/${product.id}`, { available: 12 })
    t.equal(set.status, 200)
    t.same(set.body, { success: true, data: { product_id: product.id, available: 12 } })
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

  await t.test('pages', async (t) => {
    await Promise.all(Array.from({ length: 4 }, () => newProduct(client, {}, 1)))
    const ids = (await allPages(client, '/inventory', 3)).map(({ product_id }) => product_id)
    t.same(
      ids,
      [...new Set(ids)].sort((a, b) => a - b),
      'by product, none twice',
    )
    t.ok(ids.length >= 7)
  })
}
