import { type ErrorTable, failWith } from '../../platform/errors.ts'

/** Errors of the product module. */
export const productErrors = {
  'product.not_found': { status: 404, en: 'There is no such product.', 'zh-TW': '找不到商品。' },
  'product.sku_taken': { status: 409, en: 'This sku is in use.', 'zh-TW': '此 SKU 已被使用。' },
  'product.unavailable': { status: 503, en: 'The product service is not responding.', 'zh-TW': '商品服務沒有回應。' },
} as const satisfies ErrorTable

export const fail = failWith(productErrors)
