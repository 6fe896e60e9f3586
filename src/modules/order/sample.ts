import type { StoredOrder } from './repository.ts'
import type { StockLevel } from './stock-repository.ts'

export const sampleOrders: readonly StoredOrder[] = [
  {
    id: 1,
    user_id: 1,
    items: [{ product_id: 1, product: '筆記型電腦', quantity: 1, price: 30_000 }],
    total: 30_000,
    currency: 'TWD',
    status: 'completed',
    created_at: '2025-02-10T10:30:00Z',
  },
  {
    id: 2,
    user_id: 2,
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

export const sampleStock: readonly StockLevel[] = [
  { product_id: 1, available: 50 },
  { product_id: 2, available: 500 },
  { product_id: 3, available: 200 },
]
