/**
 * The one table of errors: code to HTTP status and to what a person reads.
 * A code is part of the API; its text is not.
 */
export const errors = {
  'request.invalid': { status: 400, en: 'The request does not fit its schema.', 'zh-TW': '請求內容不符合格式。' },
  'request.malformed': { status: 400, en: 'The request cannot be read.', 'zh-TW': '無法解讀請求。' },
  'request.invalid_text': {
    status: 400,
    en: 'Text must not contain NUL characters or unpaired surrogates.',
    'zh-TW': '文字不得包含 NUL 字元或不成對的代理碼位。',
  },
  'request.invalid_cursor': { status: 400, en: 'The cursor is not one that this list gave.', 'zh-TW': '游標並非由此清單提供。' },
  'request.too_large': { status: 413, en: 'The request body is too large.', 'zh-TW': '請求內容過大。' },
  'request.headers_too_large': { status: 431, en: 'The request headers are too large.', 'zh-TW': '請求標頭過大。' },
  'request.timeout': { status: 408, en: 'The request took too long to arrive.', 'zh-TW': '請求傳送逾時。' },
  'request.unsupported_media_type': {
    status: 415,
    en: 'Send JSON as application/json.',
    'zh-TW': '請以 application/json 傳送 JSON。',
  },
  'request.rate_limited': { status: 429, en: 'Too many requests; try again later.', 'zh-TW': '請求過於頻繁，請稍後再試。' },
  'route.not_found': { status: 404, en: 'There is nothing at this address.', 'zh-TW': '此位址沒有任何資源。' },
  internal: { status: 500, en: 'Something went wrong on our side.', 'zh-TW': '系統發生錯誤。' },
  'service.stopping': { status: 503, en: 'The service is stopping.', 'zh-TW': '服務正在停止。' },
  'database.unavailable': {
    status: 503,
    en: 'The database does not answer; try again.',
    'zh-TW': '資料庫沒有回應，請再試一次。',
  },
  'database.busy': { status: 503, en: 'The service is busy; try again.', 'zh-TW': '服務忙碌中，請再試一次。' },
  'queue.unavailable': {
    status: 503,
    en: 'The event queue does not answer; try again.',
    'zh-TW': '事件佇列沒有回應，請再試一次。',
  },
  'upstream.unavailable': { status: 503, en: 'The service behind this address does not answer.', 'zh-TW': '後端服務沒有回應。' },
  'upstream.timeout': { status: 504, en: 'The service behind this address took too long.', 'zh-TW': '後端服務逾時。' },
  'user.not_found': { status: 404, en: 'There is no such user.', 'zh-TW': '找不到使用者。' },
  'user.email_taken': { status: 409, en: 'This e-mail address is in use.', 'zh-TW': '此電子郵件已被使用。' },
  'user.unavailable': { status: 503, en: 'The user service does not answer.', 'zh-TW': '使用者服務沒有回應。' },
  'product.not_found': { status: 404, en: 'There is no such product.', 'zh-TW': '找不到商品。' },
  'product.sku_taken': { status: 409, en: 'This sku is in use.', 'zh-TW': '此 SKU 已被使用。' },
  'product.unavailable': { status: 503, en: 'The product service does not answer.', 'zh-TW': '商品服務沒有回應。' },
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
  'order.invalid_transition': { status: 409, en: 'The order cannot take this step.', 'zh-TW': '訂單狀態無法如此變更。' },
  'order.unavailable': { status: 503, en: 'The order service does not answer.', 'zh-TW': '訂單服務沒有回應。' },
  'notification.not_found': { status: 404, en: 'There is no such notification.', 'zh-TW': '找不到通知。' },
  'notification.not_retryable': {
    status: 409,
    en: 'Only a message that was not sent can be retried.',
    'zh-TW': '只有未送出的訊息可以重試。',
  },
  'notification.in_flight': { status: 409, en: 'The message is being sent.', 'zh-TW': '訊息正在傳送。' },
  'notification.provider_failed': { status: 502, en: 'The provider did not take the message.', 'zh-TW': '服務商未接受訊息。' },
  'notification.unavailable': { status: 503, en: 'The notification service does not answer.', 'zh-TW': '通知服務沒有回應。' },
  'dead_letter.not_found': { status: 404, en: 'There is no such dead letter.', 'zh-TW': '找不到此死信。' },
} as const satisfies Record<string, { status: number; en: string; 'zh-TW': string }>

export type ErrorCode = keyof typeof errors
export type Locale = 'en' | 'zh-TW'

export const isErrorCode = (value: unknown): value is ErrorCode => typeof value === 'string' && Object.hasOwn(errors, value)

/** An expected error: a code of the table, and facts for whoever reads the answer. */
export class Failure extends Error {
  readonly code: ErrorCode
  readonly details: Readonly<Record<string, unknown>>
  readonly status: number
  constructor(code: ErrorCode, details: Readonly<Record<string, unknown>>, cause?: unknown) {
    super(code, cause === undefined ? undefined : { cause })
    this.name = 'Failure'
    this.code = code
    this.details = details
    this.status = errors[code].status
  }
}

export const fail = (code: ErrorCode, details: Readonly<Record<string, unknown>> = {}, cause?: unknown) =>
  new Failure(code, details, cause)
