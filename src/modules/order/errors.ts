import { type ErrorTable, failWith } from '../../platform/errors.ts'
import { productContract } from '../product/contract.ts'

/** Errors of the order module, stock included. */
export const orderErrors = {
  'order.not_found': { status: 404, en: 'There is no such order.', 'zh-TW': '找不到訂單。' },
  'order.out_of_stock': { status: 409, en: 'There is not enough stock; nothing was ordered.', 'zh-TW': '庫存不足，訂單未成立。' },
  'order.price_changed': {
    status: 409,
    en: 'A price differs from the catalogue; nothing was ordered.',
    'zh-TW': '價格與目錄不符，訂單未成立。',
  },
  'order.product_inactive': { status: 409, en: 'A product is not for sale.', 'zh-TW': '商品目前未販售。' },
  'order.product_ambiguous': {
    status: 409,
    en: 'Several products have this name; use product_id or the sku.',
    'zh-TW': '有多項商品同名，請改用 product_id 或 SKU。',
  },
  'order.mixed_currencies': {
    status: 422,
    en: 'All products of an order must have the same currency.',
    'zh-TW': '一張訂單只能使用一種幣別。',
  },
  'order.idempotency_key_reused': {
    status: 422,
    en: 'This Idempotency-Key was used with another body.',
    'zh-TW': '此 Idempotency-Key 已用於不同的內容。',
  },
  'order.total_too_large': {
    status: 422,
    en: 'The total is too large for one order.',
    'zh-TW': '訂單總金額過大。',
    detail: {
      en: 'The total of one order can be at most {maximum}; this one would be {total}.',
      'zh-TW': '一張訂單的總金額上限為 {maximum}，此訂單為 {total}。',
    },
  },
  'order.too_many_pending': {
    status: 409,
    en: 'Too many of your orders are still pending; cancel one, or wait until one is processed.',
    'zh-TW': '您待處理的訂單過多，請取消其中一張，或等待處理後再試。',
    detail: {
      en: 'You can have at most {maximum} pending orders; cancel one, or wait until one is processed.',
      'zh-TW': '您已有 {maximum} 張待處理訂單，達到上限；請取消其中一張，或等待處理後再試。',
    },
  },
  'order.quantity_too_large': {
    status: 422,
    en: 'The quantity of one product is too large for one order.',
    'zh-TW': '單一商品的訂購數量過大。',
    detail: {
      en: 'One order can have at most {maximum} pieces of a product.',
      'zh-TW': '一張訂單中單一商品最多 {maximum} 件。',
    },
  },
  'order.invalid_transition': {
    status: 409,
    en: 'The status of the order cannot be changed like this.',
    'zh-TW': '訂單狀態無法如此變更。',
    detail: {
      en: 'An order with the status {from} cannot become {to}. Allowed: {allowed}.',
      'zh-TW': '狀態為 {from} 的訂單無法變更為 {to}。{from} 之後可變更為：{allowed}。',
    },
  },
  'inventory.not_tracked': { status: 404, en: 'This product is not stock-tracked.', 'zh-TW': '此商品未納入庫存管理。' },
  'order.unavailable': { status: 503, en: 'The order service is not responding.', 'zh-TW': '訂單服務沒有回應。' },
} as const satisfies ErrorTable

/** Orders and stock also report missing products, like the catalogue. */
export const fail = failWith({ 'product.not_found': productContract.errors['product.not_found'], ...orderErrors })
