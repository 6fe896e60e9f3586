/**
 * The one table of errors: code to HTTP status and to what a person reads.
 * A code is part of the API; its text is not.
 */
export const errors = {
  'request.invalid': { status: 400, en: 'The request does not fit its schema.', 'zh-TW': '請求內容不符合格式。' },
  'request.malformed': {
    status: 400,
    en: 'The request cannot be read.',
    'zh-TW': '無法解讀請求。',
    detail: { en: 'The request cannot be read: {reason}.', 'zh-TW': '無法解讀請求：{reason}。' },
  },
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
  'request.method_not_allowed': {
    status: 405,
    en: 'This address does not take this method.',
    'zh-TW': '此位址不接受這個方法。',
  },
  'request.unsupported_charset': { status: 415, en: 'Send JSON in UTF-8.', 'zh-TW': '請以 UTF-8 編碼傳送 JSON。' },
  'request.unsupported_encoding': {
    status: 415,
    en: 'Send the body without a Content-Encoding.',
    'zh-TW': '請勿以 Content-Encoding 壓縮請求內容。',
  },
  'request.rate_limited': { status: 429, en: 'Too many requests; try again later.', 'zh-TW': '請求過於頻繁，請稍後再試。' },
  'request.too_many_connections': {
    status: 429,
    en: 'There are too many connections from this address; close some.',
    'zh-TW': '來自此位址的連線過多，請關閉部分連線。',
  },
  'route.not_found': { status: 404, en: 'There is nothing at this address.', 'zh-TW': '此位址沒有任何資源。' },
  internal: { status: 500, en: 'Something went wrong on our side.', 'zh-TW': '系統發生錯誤。' },
  'service.busy': { status: 503, en: 'The service is busy; try again in a moment.', 'zh-TW': '服務忙碌中，請稍後再試。' },
  'service.starting': { status: 503, en: 'The service is starting; try again.', 'zh-TW': '服務正在啟動，請再試一次。' },
  'service.stopping': { status: 503, en: 'The service is stopping.', 'zh-TW': '服務正在停止。' },
  'database.unavailable': {
    status: 503,
    en: 'The database does not answer; try again.',
    'zh-TW': '資料庫沒有回應，請再試一次。',
  },
  'database.busy': { status: 503, en: 'The service is busy; try again.', 'zh-TW': '服務忙碌中，請再試一次。' },
  'upstream.unavailable': { status: 503, en: 'The service behind this address does not answer.', 'zh-TW': '後端服務沒有回應。' },
  'upstream.timeout': { status: 504, en: 'The service behind this address took too long.', 'zh-TW': '後端服務逾時。' },
  'user.not_found': { status: 404, en: 'There is no such user.', 'zh-TW': '找不到使用者。' },
  'user.email_taken': { status: 409, en: 'This e-mail address is in use.', 'zh-TW': '此電子郵件已被使用。' },
  'user.email_unconfirmed': {
    status: 403,
    en: 'Confirm your e-mail address first, by the mail that was sent to it; a new one is sent with a new password.',
    'zh-TW': '請先依寄出的信件確認您的電子郵件；重設密碼亦可確認。',
  },
  'user.phone_country_required': {
    status: 400,
    en: 'Write the phone number with + and its country code, or name its country in phone_country.',
    'zh-TW': '請在電話號碼前加上 + 與國碼，或以 phone_country 指定國家。',
  },
  'user.phone_country_unknown': {
    status: 400,
    en: 'phone_country must be the two letters of a country, as TW.',
    'zh-TW': 'phone_country 必須是國家的兩個字母代碼，例如 TW。',
  },
  'user.phone_invalid': {
    status: 400,
    en: 'This is no phone number; check its digits, and leave out an extension.',
    'zh-TW': '這不是電話號碼，請檢查號碼，且勿加分機。',
  },
  'user.password_too_short': {
    status: 400,
    en: 'Use at least 8 characters that can be seen; spaces in a row count as one.',
    'zh-TW': '密碼至少需要 8 個看得見的字元，連續空格視為一個。',
  },
  'user.password_too_common': {
    status: 400,
    en: 'This password is among the first that are guessed; use several words that do not belong together.',
    'zh-TW': '此密碼太常見，容易被猜到，請改用數個互不相關的詞。',
  },
  'user.password_personal': {
    status: 400,
    en: 'The password must not be your name, your e-mail address or the name of this service.',
    'zh-TW': '密碼不得為您的姓名、電子郵件或本服務的名稱。',
  },
  'user.last_admin': {
    status: 409,
    en: 'This is the last administrator; make another one first.',
    'zh-TW': '這是最後一位管理員，請先指派其他管理員。',
  },
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
  'notification.not_found': { status: 404, en: 'There is no such notification.', 'zh-TW': '找不到通知。' },
  'notification.not_retryable': {
    status: 409,
    en: 'Only a message that was not sent can be retried.',
    'zh-TW': '只有未送出的訊息可以重試。',
  },
  'notification.in_flight': { status: 409, en: 'The message is being sent.', 'zh-TW': '訊息正在傳送。' },
  'notification.provider_failed': { status: 502, en: 'The provider did not take the message.', 'zh-TW': '服務商未接受訊息。' },
  'notification.unavailable': { status: 503, en: 'The notification service does not answer.', 'zh-TW': '通知服務沒有回應。' },
  'auth.required': { status: 401, en: 'Sign in first.', 'zh-TW': '請先登入。' },
  'auth.certificate_required': {
    status: 401,
    en: 'Show a certificate that this service trusts.',
    'zh-TW': '請出示此服務信任的憑證。',
  },
  'auth.invalid_token': { status: 401, en: 'The token is not valid; sign in again.', 'zh-TW': '憑證無效，請重新登入。' },
  'auth.service_token_rejected': {
    status: 503,
    en: 'The services do not accept each other at the moment; your sign-in is not at fault.',
    'zh-TW': '系統內部服務目前無法互相驗證，並非您的登入有誤。',
  },
  'auth.invalid_credentials': {
    status: 401,
    en: 'The e-mail address or the password is wrong.',
    'zh-TW': '電子郵件或密碼錯誤。',
  },
  'auth.otp_required': { status: 401, en: 'Send the one-time code as well.', 'zh-TW': '請一併提供一次性驗證碼。' },
  'auth.invalid_otp': { status: 401, en: 'The one-time code is wrong or was used.', 'zh-TW': '一次性驗證碼錯誤或已使用。' },
  'auth.not_activated': {
    status: 403,
    en: 'Activate the account first with the token that was mailed.',
    'zh-TW': '請先以郵寄的憑證啟用帳號。',
  },
  'auth.mfa_enrolment_required': {
    status: 403,
    en: 'Administrators must enrol a second factor first.',
    'zh-TW': '管理員必須先設定第二驗證因素。',
  },
  'auth.mfa_required': {
    status: 403,
    en: 'Administrators must sign in with their second factor.',
    'zh-TW': '管理員必須以第二驗證因素登入。',
  },
  'auth.reauthentication_required': {
    status: 401,
    en: 'Prove who you are first, at POST /auth/reauthenticate; the token that it returns is good for this for five minutes.',
    'zh-TW': '請先以 POST /auth/reauthenticate 驗證身分；所取得的憑證可於五分鐘內用於此操作。',
  },
  'auth.mfa_already_enrolled': { status: 409, en: 'A second factor is enrolled already.', 'zh-TW': '已設定第二驗證因素。' },
  'auth.mfa_not_enrolled': { status: 409, en: 'No second factor is being enrolled.', 'zh-TW': '尚未設定第二驗證因素。' },
  'auth.forbidden': { status: 403, en: 'You may not do this.', 'zh-TW': '您沒有執行此操作的權限。' },
  'auth.registration_closed': { status: 403, en: 'Accounts are created by an administrator.', 'zh-TW': '帳號須由管理員建立。' },
  'auth.too_many_attempts': { status: 429, en: 'Too many attempts; try again later.', 'zh-TW': '嘗試次數過多，請稍後再試。' },
  'auth.busy': { status: 503, en: 'Too many people sign in at once; try again.', 'zh-TW': '登入人數過多，請再試一次。' },
  'auth.invalid_mail_token': {
    status: 400,
    en: 'The token is wrong, was used, or is too old.',
    'zh-TW': '憑證錯誤、已使用或已過期。',
  },
  'audit.not_found': { status: 404, en: 'There is no such entry.', 'zh-TW': '找不到稽核紀錄。' },
  'audit.not_sealed': { status: 409, en: 'The entry is not sealed yet; try again.', 'zh-TW': '紀錄尚未封存，請再試一次。' },
  'audit.invalid_signature': {
    status: 422,
    en: 'An entry is not validly signed by the service that it names.',
    'zh-TW': '紀錄未經其所稱服務有效簽章。',
  },
  'audit.event_taken': {
    status: 409,
    en: 'Another service has put an entry of this event on the trail.',
    'zh-TW': '其他服務已為此事件留下紀錄。',
  },
  'audit.unavailable': { status: 503, en: 'The audit service does not answer.', 'zh-TW': '稽核服務沒有回應。' },
  'dead_letter.not_found': { status: 404, en: 'There is no such dead letter.', 'zh-TW': '找不到此死信。' },
} as const satisfies Record<string, LocalizedText & ErrorKind>

interface ErrorKind {
  readonly status: number
  /** Where more can be said than in the title: `{name}` stands for the fact of that name. */
  readonly detail?: LocalizedText
}

export type ErrorCode = keyof typeof errors
export type Locale = 'en' | 'zh-TW'
export type LocalizedText = Readonly<Record<Locale, string>>

const none: LocalizedText = { en: 'nothing', 'zh-TW': '無' }
const isLocalized = (value: unknown): value is LocalizedText =>
  typeof value === 'object' && value !== null && 'en' in value && 'zh-TW' in value
/** A fact in a language, where it is a text of ours. */
export const inLocale = (fact: unknown, locale: Locale): unknown => (isLocalized(fact) ? fact[locale] : fact)

/** Values one after the other, as each language writes them. */
export const listOf = (values: readonly unknown[], locale: Locale): string =>
  values.length === 0 ? none[locale] : values.join(locale === 'en' ? ', ' : '、')

/** What went wrong, as the problem's title and detail (RFC 9457, 3.1); the title alone where a fact that the detail names is missing. */
export const textsOf = (
  { code, details }: Pick<Failure, 'code' | 'details'>,
  locale: Locale,
): { title: string; detail: string } => {
  const kind: LocalizedText & ErrorKind = errors[code]
  const title = kind[locale]
  const template = kind.detail?.[locale] ?? title
  const missing = [...template.matchAll(/\{(\w+)\}/g)].some(([, name = '']) => details[name] === undefined)
  if (missing) return { title, detail: title }
  const detail = template.replace(/\{(\w+)\}/g, (_, name) => {
    const fact = details[name]
    return Array.isArray(fact) ? listOf(fact, locale) : String(fact)
  })
  return { title, detail }
}

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
