import type { Test } from 'tap'
import { allPages, type Client, inTotalOrder, isProblem, newProduct, unique } from './target.ts'

export const productSuite = async (t: Test, client: Client): Promise<void> => {
  await t.test('created, read, changed, deleted', async (t) => {
    const sku = unique('CHAIR')
    const answer = await client.post('/products', { sku, name: '椅子', price: 1800 })
    t.equal(answer.status, 201)
    const { data } = answer.body
    t.match(data, { sku, name: '椅子', description: '', price: 1800, currency: 'TWD', active: true })
    t.equal(answer.headers.get('location'), `/api/v1/products/${data.id}`)
    t.same((await client.get(`/products/${data.id}`)).body, { success: true, data })

    const changed = await client.patch(`/products/${data.id}`, { price: 1900, active: false, description: '木製' })
    t.same(changed.body.data, { ...data, price: 1900, active: false, description: '木製' })
    const removed = await client.remove(`/products/${data.id}`)
    t.equal(removed.status, 200)
    t.same(removed.body.data, changed.body.data)
    isProblem(t, await client.get(`/products/${data.id}`), 404, 'product.not_found')
    isProblem(t, await client.patch(`/products/${data.id}`, { price: 1 }), 404, 'product.not_found')
    isProblem(t, await client.remove(`/products/${data.id}`), 404, 'product.not_found')
  })

  await t.test('an sku is unique', async (t) => {
    const [first, second] = [await newProduct(client), await newProduct(client)]
    isProblem(t, await client.post('/products', { sku: first.sku, name: 'N', price: 1 }), 409, 'product.sku_taken')
    isProblem(t, await client.patch(`/products/${second.id}`, { sku: first.sku }), 409, 'product.sku_taken')
  })

  await t.test('refused', async (t) => {
    const product = { sku: unique('X'), name: 'N', price: 1 }
    const bad = [
      { ...product, price: -1 },
      { ...product, price: 1.5 },
      { ...product, price: '1' },
      { ...product, currency: 'twd' },
      { ...product, currency: 'QQQ' },
      { ...product, sku: 'with space' },
      { ...product, colour: 'red' },
      { sku: product.sku, price: 1 },
    ]
    for (const body of bad)
      isProblem(t, await client.post('/products', body), 400, 'request.invalid', { errors: [{ field: /^\/body\// }] })
    isProblem(t, await client.post('/products', { ...product, currency: 'QQQ' }), 400, 'request.invalid', {
      errors: [{ field: '/body/currency', message: /ISO 4217/ }],
    })
  })

  await t.test('search by name or sku', async (t) => {
    const mark = unique('Find')
    const byName = await newProduct(client, { name: `Red ${mark} table` })
    const bySku = await newProduct(client, { sku: `A-${mark}-B` })
    const inactive = await newProduct(client, { name: `Old ${mark}`, active: false })
    await newProduct(client, { name: `100% wool_${mark.replaceAll('-', '')}` })

    const found = async (search: string, more = '') =>
      (await client.get(`/products?search=${encodeURIComponent(search)}${more}`)).body.data.map(({ id }: { id: number }) => id)
    t.same(await found(mark), [inactive.id, bySku.id, byName.id])
    t.same(await found(mark.toUpperCase()), [inactive.id, bySku.id, byName.id], 'ignores case')
    t.same(await found(mark, '&active=true'), [bySku.id, byName.id])
    t.same(await found(mark, '&active=false'), [inactive.id])
    t.same(await found(`${mark}%`), [], 'a wildcard is an ordinary character')
    t.same(await found(mark.replaceAll('-', '_')), [])
    t.same((await found('滑鼠')).includes(2), true)
    const paged = await allPages(client, `/products?search=${mark}`, 2)
    t.same(
      paged.map(({ id }) => id),
      [inactive.id, bySku.id, byName.id],
      'the next page keeps the search',
    )
  })

  await t.test('pages of rows with the same time', async (t) => {
    const items = await allPages(client, '/products', 1)
    inTotalOrder(t, items, 'newest first, no duplicates')
    // The sample products have the same created_at: pages must not lose or repeat one.
    t.same(
      items.slice(-3).map(({ id }) => id),
      [3, 2, 1],
    )
  })
}
