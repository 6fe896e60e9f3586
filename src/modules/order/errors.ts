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
  'order.mixed_currencies': { status: 422, en: 'One order has one currency.', 'zh-TW': '一張訂單只能使用一種幣別。' },
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
      en: 'The total of one order is {maximum} at most, and this one would be {total}.',
      'zh-TW': '一張訂單的總金額上限為 {maximum}，此訂單為 {total}。',
    },
  },
  'order.too_many_pending': {
    status: 409,
    en: 'Too many of your orders are still pending; cancel one, or wait until one is processed.',
    'zh-TW': '您待處理的訂單過多，請取消其中一張，或等待處理後再試。',
    detail: {
      en: '{maximum} of your orders are still pending, and no more may be; cancel one, or wait until one is processed.',
      'zh-TW': '您已有 {maximum} 張待處理訂單，達到上限；請取消其中一張，或等待處理後再試。',
    },
  },
  'order.quantity_too_large': {
    status: 422,
    en: 'This is too many pieces of one product for one order.',
    'zh-TW': '單一商品的訂購數量過大。',
    detail: {
      en: 'One order has {maximum} pieces of a product at most.',
      'zh-TW': '一張訂單中單一商品最多 {maximum} 件。',
    },
  },
  'order.invalid_transition': {
    status: 409,
    en: 'The order cannot take this step.',
    'zh-TW': '訂單狀態無法如此變更。',
    detail: {
      en: 'An order that is {from} cannot become {to}. From {from} it can become: {allowed}.',
      'zh-TW': '狀態為 {from} 的訂單無法變更為 {to}。{from} 之後可變更為：{allowed}。',
    },
  },
  'inventory.not_tracked': { status: 404, en: 'This product is not stock-tracked.', 'zh-TW': '此商品未納入庫存管理。' },
  'order.unavailable': { status: 503, en: 'The order service does not answer.', 'zh-TW': '訂單服務沒有回應。' },
} as const satisfies ErrorTable

/** Orders and stock also report missing products, like the catalogue. */
export const fail = failWith({ 'product.not_found': productContract.errors['product.not_found'], ...orderErrors })
