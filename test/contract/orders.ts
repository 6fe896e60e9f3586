import type { Test } from 'tap'
import { allPages, availableOf, type Client, inTotalOrder, isProblem, newOrder, newProduct, newUser, unique } from './target.ts'

const idsOf = (answer: { body: { data: { id: number }[] } }): number[] => answer.body.data.map(({ id }) => id)

export const orderSuite = async (t: Test, client: Client): Promise<void> => {
  await t.test('order by product_id, sku or exact name; lines with the same product are merged', async (t) => {
    const user = await newUser(client)
    const [one, two, three] = [
      await newProduct(client, { price: 100 }, 50),
      await newProduct(client, { price: 20 }, 50),
      await newProduct(client, { price: 3 }),
    ]
    const answer = await client.post('/orders', {
      user_id: user.id,
      items: [
        { product_id: one.id, quantity: 1 },
        { product: two.sku, quantity: 2, price: 20 },
        { product: three.name, quantity: 3 },
        { product: one.name, quantity: 4 },
      ],
    })
    t.equal(answer.status, 201)
    const { data } = answer.body
    t.match(answer.body, {
      success: true,
      data: {
        user_id: user.id,
        user: { id: user.id, name: user.name, email: user.email },
        items: [
          { product_id: one.id, product: one.name, quantity: 5, price: 100 },
          { product_id: two.id, product: two.name, quantity: 2, price: 20 },
          { product_id: three.id, product: three.name, quantity: 3, price: 3 },
        ],
        total: 549,
        currency: 'TWD',
        status: 'pending',
      },
    })
    t.equal(data.items.length, 3)
    t.equal(answer.headers.get('location'), `/api/v1/orders/${data.id}`)
    t.equal(answer.headers.get('idempotency-replayed'), null)
    t.same((await client.get(`/orders/${data.id}`)).body, { success: true, data })
    t.same(
      [await availableOf(client, one.id), await availableOf(client, two.id), await availableOf(client, three.id)],
      [45, 48, undefined],
    )
  })

  await t.test('an order keeps the names and prices of its products', async (t) => {
    const [user, product] = [await newUser(client), await newProduct(client, { price: 10 })]
    const order = await newOrder(client, { user_id: user.id, items: [{ product_id: product.id, quantity: 1 }] })
    await client.patch(`/products/${product.id}`, { price: 11, name: 'Other' })
    await client.remove(`/products/${product.id}`)
    t.same((await client.get(`/orders/${order.id}`)).body.data, order)
  })

  await t.test('a price that has changed in the catalogue', async (t) => {
    const [user, product] = [await newUser(client), await newProduct(client, { price: 10 }, 5)]
    await client.patch(`/products/${product.id}`, { price: 12 })
    const items = [{ product_id: product.id, quantity: 1, price: 10 }]
    isProblem(t, await client.post('/orders', { user_id: user.id, items }), 409, 'order.price_changed', {
      lines: [{ product_id: product.id, product: product.name, requested_price: 10, price: 12 }],
    })
    t.equal(await availableOf(client, product.id), 5)
  })

  await t.test('not enough stock changes nothing', async (t) => {
    const user = await newUser(client)
    const [plenty, scarce, none] = [
      await newProduct(client, {}, 9),
      await newProduct(client, {}, 3),
      await newProduct(client, {}, 0),
    ]
    const items = [
      { product_id: plenty.id, quantity: 1 },
      { product_id: scarce.id, quantity: 2 },
      { product_id: scarce.id, quantity: 2 },
      { product_id: none.id, quantity: 1 },
    ]
    const answer = await client.post('/orders', { user_id: user.id, items })
    isProblem(t, answer, 409, 'order.out_of_stock')
    t.same(
      answer.body.lines.toSorted((a: { product_id: number }, b: { product_id: number }) => a.product_id - b.product_id),
      [
        { product_id: scarce.id, product: scarce.name, requested: 4, available: 3 },
        { product_id: none.id, product: none.name, requested: 1, available: 0 },
      ],
    )
    t.same(await Promise.all([plenty, scarce, none].map(({ id }) => availableOf(client, id))), [9, 3, 0])
    t.same(idsOf(await client.get(`/orders?user_id=${user.id}`)), [])
  })

  await t.test('refused', async (t) => {
    const user = await newUser(client)
    const product = await newProduct(client)
    const order = (items: object[], more: object = {}) => client.post('/orders', { user_id: user.id, items, ...more })
    const line = { product_id: product.id, quantity: 1 }
    isProblem(t, await client.post('/orders', { user_id: 2_000_000_000, items: [line] }), 404, 'user.not_found')
    isProblem(t, await order([{ product: unique('no such'), quantity: 1 }]), 404, 'product.not_found')
    isProblem(t, await order([{ product_id: 2_000_000_000, quantity: 1 }]), 404, 'product.not_found')
    const inactive = await newProduct(client, { active: false })
    isProblem(t, await order([{ product_id: inactive.id, quantity: 1 }]), 409, 'order.product_inactive', {
      lines: [{ product_id: inactive.id }],
    })
    const twins = [await newProduct(client, { name: unique('Twin') })]
    twins.push(await newProduct(client, { name: twins[0].name }))
    isProblem(t, await order([{ product: twins[0].name, quantity: 1 }]), 409, 'order.product_ambiguous')
    const dollars = await newProduct(client, { currency: 'USD' })
    isProblem(t, await order([line, { product_id: dollars.id, quantity: 1 }]), 422, 'order.mixed_currencies')

    const invalid: [object[], object?][] = [
      [[]],
      [[{ ...line, quantity: 0 }]],
      [[{ ...line, quantity: 1.5 }]],
      [[{ ...line, product: product.sku }]],
      [[{ quantity: 1 }]],
      [[{ ...line, discount: 1 }]],
      [[line], { total: 1 }],
      [[line], { user_id: '1' }],
      [[line], { user_id: 0 }],
    ]
    for (const [items, more] of invalid)
      isProblem(t, await order(items, more), 400, 'request.invalid', { errors: [{ field: /^\/body\// }] })
    isProblem(t, await client.get('/orders/2000000000'), 404, 'order.not_found')
    isProblem(t, await client.get('/orders/abc'), 400, 'request.invalid')
    isProblem(t, await client.get('/orders/99999999999'), 400, 'request.invalid')
  })

  await t.test('one Idempotency-Key, one order', async (t) => {
    const [user, other, product] = [await newUser(client), await newUser(client), await newProduct(client, {}, 100)]
    const body = { user_id: user.id, items: [{ product_id: product.id, quantity: 2 }] }
    const key = { 'idempotency-key': unique('key') }
    const first = await client.post('/orders', body, key)
    const again = await client.post('/orders', body, key)
    t.same([first.status, again.status], [201, 201])
    t.same(again.body, first.body)
    t.same([first.headers.get('idempotency-replayed'), again.headers.get('idempotency-replayed')], [null, 'true'])
    t.equal(again.headers.get('location'), `/api/v1/orders/${first.body.data.id}`)

    const otherBody = { ...body, items: [{ product_id: product.id, quantity: 3 }] }
    isProblem(t, await client.post('/orders', otherBody, key), 422, 'order.idempotency_key_reused')
    t.not((await newOrder(client, { ...body, user_id: other.id }, key)).id, first.body.data.id, 'a key belongs to its user')
    t.equal(await availableOf(client, product.id), 96)

    const shared = { 'idempotency-key': unique('key') }
    const answers = await Promise.all(Array.from({ length: 10 }, () => client.post('/orders', body, shared)))
    t.same([...new Set(answers.map(({ status }) => status))], [201])
    t.equal(new Set(answers.map((answer) => answer.body.data.id)).size, 1, 'several concurrent requests create one order')
    t.equal(answers.filter(({ headers }) => headers.get('idempotency-replayed') === null).length, 1)
    t.equal(await availableOf(client, product.id), 94)
    isProblem(t, await client.post('/orders', body, { 'idempotency-key': 'x'.repeat(256) }), 400, 'request.invalid')
  })

  await t.test('filters and pages', async (t) => {
    const [user, product] = [await newUser(client), await newProduct(client)]
    const make = () => newOrder(client, { user_id: user.id, items: [{ product_id: product.id, quantity: 1 }] })
    const made = await Promise.all(Array.from({ length: 6 }, make))
    const ids = made.map(({ id }) => id).sort((a, b) => b - a)
    const items = await allPages(client, `/orders?user_id=${user.id}`, 4, make)
    inTotalOrder(t, items, 'newest first, no duplicates')
    t.same(
      items.map(({ id }) => id).sort((a, b) => b - a),
      ids,
      'the orders of this user that existed before the first page',
    )
    t.match(items[0].user, { id: user.id, name: user.name })
    inTotalOrder(t, await allPages(client, '/orders', 7), 'all orders')

    const [last] = ids as [number]
    await client.post(`/orders/${last}/cancel`)
    t.same(idsOf(await client.get(`/orders?user_id=${user.id}&status=cancelled`)), [last])
    t.equal((await client.get(`/orders?user_id=${user.id}&status=pending`)).body.count, 6)
    isProblem(t, await client.get('/orders?status=lost'), 400, 'request.invalid')

    const between = (from: string, to: string) => client.get(`/orders?from=${from}&to=${to}`)
    t.same(idsOf(await between('2025-02-10T10:30:00Z', '2025-02-15T14:20:00Z')), [1], '`from` is inclusive, `to` is exclusive')
    t.same(idsOf(await between('2025-02-10T10:30:01Z', '2025-02-15T14:20:01Z')), [2])
    t.same(idsOf(await between('2025-02-10T18:30:00%2B08:00', '2025-02-11T00:00:00Z')), [1], 'in any time zone')
    isProblem(t, await client.get('/orders?from=yesterday'), 400, 'request.invalid')
  })

  await t.test('a deleted user is null, and the order stays', async (t) => {
    const [user, product] = [await newUser(client), await newProduct(client)]
    const order = await newOrder(client, { user_id: user.id, items: [{ product_id: product.id, quantity: 1 }] })
    await client.remove(`/users/${user.id}`)
    t.same((await client.get(`/orders/${order.id}`)).body.data, { ...order, user: null })
    t.match((await client.get(`/orders?user_id=${user.id}`)).body.data, [{ id: order.id, user_id: user.id, user: null }])
  })
}
