import type { Test } from 'tap'
import { type Client, newProduct, newUser } from './target.ts'

const users = [
  { id: 1, name: '陳小明', phone: '+886900000001', role: 'admin', created_at: '2025-01-01T10:00:00Z' },
  { id: 2, name: '林小華', phone: '+886900000002', role: 'user', created_at: '2025-01-15T14:30:00Z' },
  { id: 3, name: '王小美', phone: '+886900000003', role: 'user', created_at: '2025-02-01T09:15:00Z' },
]
const products = [
  { id: 1, name: '筆記型電腦', price: 30_000, currency: 'TWD', active: true },
  { id: 2, name: '滑鼠', price: 500, currency: 'TWD', active: true },
  { id: 3, name: '鍵盤', price: 2000, currency: 'TWD', active: true },
]
const orders = [
  {
    id: 1,
    user_id: 1,
    user: { id: 1, name: '陳小明' },
    items: [{ product_id: 1, product: '筆記型電腦', quantity: 1, price: 30_000 }],
    total: 30_000,
    currency: 'TWD',
    status: 'completed',
    created_at: '2025-02-10T10:30:00Z',
  },
  {
    id: 2,
    user_id: 2,
    user: { id: 2, name: '林小華' },
    items: [
      { product_id: 2, product: '滑鼠', quantity: 2, price: 500 },
      { product_id: 3, product: '鍵盤', quantity: 1, price: 2000 },
    ],
    total: 3000,
    currency: 'TWD',
    status: 'processing',
    created_at: '2025-02-15T14:20:00Z',
  },
]

export const sampleSuite = async (t: Test, client: Client): Promise<void> => {
  await t.test('sample data', async (t) => {
    const newestFirst = <T>(rows: readonly T[]): T[] => [...rows].reverse()
    const lists = await Promise.all(['/users', '/products', '/orders'].map((path) => client.get(path)))
    t.match(lists[0]?.body, { success: true, data: newestFirst(users), count: 3 })
    t.match(lists[1]?.body, { success: true, data: newestFirst(products), count: 3 })
    t.match(lists[2]?.body, { success: true, data: newestFirst(orders), count: 2 })
    t.ok(lists.every((list) => !('next_cursor' in list.body)))
    t.same(
      lists[0]?.body.data.map(({ email }: { email: string }) => /@example\.com$/.test(email)),
      [true, true, true],
    )
    for (const order of orders) t.match((await client.get(`/orders/${order.id}`)).body, { success: true, data: order })

    const { data: stock } = (await client.get('/inventory')).body
    t.same(
      stock.map(({ product_id, available }: { product_id: number; available: number }) => [product_id, available > 0]),
      [
        [1, true],
        [2, true],
        [3, true],
      ],
    )
    t.equal((await newUser(client)).id, 4, 'the next ids follow the sample data')
    t.equal((await newProduct(client)).id, 4)
    t.equal((await client.post('/orders', { user_id: 3, items: [{ product_id: 2, quantity: 1 }] })).body.data.id, 3)
  })
}
