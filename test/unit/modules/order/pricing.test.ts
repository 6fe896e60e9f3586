import t from 'tap'
import { priceLines, type WantedLine, wantedProducts } from '../../../../src/modules/order/pricing.ts'
import type { Product } from '../../../../src/modules/product/contract.ts'

const product = (id: number, sku: string, name: string, more: Partial<Product> = {}): Product => ({
  ...{ id, sku, name, description: '', price: id * 100, currency: 'TWD', active: true, created_at: '2025-01-01T00:00:00Z' },
  ...more,
})
const catalogue = [
  product(1, 'LAPTOP', '筆記型電腦'),
  product(2, 'MOUSE', '滑鼠'),
  product(3, 'OLD', '停售', { active: false }),
  product(4, 'A', 'Twin'),
  product(5, 'B', 'Twin'),
  product(6, 'C', 'Reissue', { active: false }),
  product(7, 'D', 'Reissue'),
  product(8, 'E', 'LAPTOP'),
  product(9, 'F', 'Import', { currency: 'USD' }),
]

t.test('lines with the same product become one item, in the order of the lines', async (t) => {
  const lines = [
    { product: '滑鼠', quantity: 1 },
    { product_id: 1, quantity: 1 },
    { product: 'MOUSE', quantity: 2, price: 200 },
  ]
  t.same(priceLines(lines, catalogue), {
    currency: 'TWD',
    items: [
      { product_id: 2, product: '滑鼠', quantity: 3, price: 200 },
      { product_id: 1, product: '筆記型電腦', quantity: 1, price: 100 },
    ],
  })
  t.same(
    wantedProducts([...lines, ...lines]),
    { ids: [1], names: ['滑鼠', 'MOUSE'] },
    'each product is requested once from the catalogue',
  )
})

t.test('a text matches an sku first, then the name of an active product', async (t) => {
  const idOf = (text: string) => priceLines([{ product: text, quantity: 1 }], catalogue).items[0]?.product_id
  t.same([idOf('LAPTOP'), idOf('Reissue'), idOf('E')], [1, 7, 8])
})

t.test('a refusal names the affected lines', async (t) => {
  const good: WantedLine = { product_id: 1, quantity: 1 }
  const refused: [code: string, bad: WantedLine, details: Record<string, unknown>][] = [
    ['request.invalid', { quantity: 1 }, { errors: [{ field: '/body/items/1' }] }],
    ['request.invalid', { product_id: 1, product: 'MOUSE', quantity: 1 }, { errors: [{ field: '/body/items/1' }] }],
    ['product.not_found', { product_id: 99, quantity: 1 }, { lines: [{ product_id: 99 }] }],
    ['product.not_found', { product: 'mouse', quantity: 1 }, { lines: [{ product: 'mouse' }] }],
    ['order.product_ambiguous', { product: 'Twin', quantity: 1 }, { product_ids: [4, 5] }],
    ['order.product_inactive', { product_id: 3, quantity: 1 }, { lines: [{ product_id: 3 }] }],
    ['order.price_changed', { product_id: 2, quantity: 1, price: 199 }, { lines: [{ requested_price: 199, price: 200 }] }],
    ['order.mixed_currencies', { product_id: 9, quantity: 1 }, { currencies: ['TWD', 'USD'] }],
  ]
  for (const [code, bad, details] of refused)
    t.throws(() => priceLines([good, bad], catalogue), { code, details }, `${code}: ${JSON.stringify(bad)}`)
})
