import type { Product } from './contract.ts'

const sample = (id: number, sku: string, name: string, description: string, price: number): Product => ({
  id,
  sku,
  name,
  description,
  price,
  currency: 'TWD',
  active: true,
  created_at: '2025-01-01T09:00:00Z',
})

export const sampleProducts: readonly Product[] = [
  sample(1, 'LAPTOP-14', '筆記型電腦', '14 吋，16 GB 記憶體', 30_000),
  sample(2, 'MOUSE-1', '滑鼠', '無線', 500),
  sample(3, 'KEYBOARD-1', '鍵盤', '機械式，繁體中文鍵帽', 2000),
]
