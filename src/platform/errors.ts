import { type Locale, type LocalizedText, listOf } from './locales.ts'

/** The meaning of a code: its HTTP status, and its texts. */
export interface ErrorKind extends LocalizedText {
  readonly status: number
  /** If more can be said than in the title: `{name}` is replaced by the fact of that name. */
  readonly detail?: LocalizedText
}
/** Codes are part of the API; their texts are not. */
export type ErrorTable = Readonly<Record<string, ErrorKind>>

/** Codes that any service may return. A module's own are in its errors.ts. */
export const platformErrors = {
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
  'request.invalid_cursor': { status: 400, en: 'The cursor does not belong to this list.', 'zh-TW': '游標並非由此清單提供。' },
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
    en: 'This method is not allowed at this address.',
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
    en: 'The database is not responding; try again.',
    'zh-TW': '資料庫沒有回應，請再試一次。',
  },
  'database.busy': { status: 503, en: 'The service is busy; try again.', 'zh-TW': '服務忙碌中，請再試一次。' },
  'upstream.unavailable': {
    status: 503,
    en: 'The service behind this address is not responding.',
    'zh-TW': '後端服務沒有回應。',
  },
  'upstream.timeout': { status: 504, en: 'The service behind this address took too long.', 'zh-TW': '後端服務逾時。' },
  'auth.required': { status: 401, en: 'Sign in first.', 'zh-TW': '請先登入。' },
  'auth.certificate_required': {
    status: 401,
    en: 'Show a certificate that this service trusts.',
    'zh-TW': '請出示此服務信任的憑證。',
  },
  'auth.invalid_token': { status: 401, en: 'The token is not valid; sign in again.', 'zh-TW': '憑證無效，請重新登入。' },
  'auth.service_token_rejected': {
    status: 503,
    en: 'The services cannot authenticate each other at the moment; this is not a problem with your sign-in.',
    'zh-TW': '系統內部服務目前無法互相驗證，並非您的登入有誤。',
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
    en: 'Authenticate again at POST /auth/reauthenticate first; use the token that it returns within five minutes.',
    'zh-TW': '請先以 POST /auth/reauthenticate 驗證身分；所取得的憑證可於五分鐘內用於此操作。',
  },
  'auth.forbidden': { status: 403, en: 'You may not do this.', 'zh-TW': '您沒有執行此操作的權限。' },
  'dead_letter.not_found': { status: 404, en: 'There is no such dead letter.', 'zh-TW': '找不到此死信。' },
} as const satisfies ErrorTable

/** The problem's title and detail (RFC 9457, 3.1); only the title if a fact of the detail is missing. */
export const textsOf = (
  { kind, details }: Pick<Failure, 'kind' | 'details'>,
  locale: Locale,
): { title: string; detail: string } => {
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

/** An expected error: a code, its meaning, and facts for the reader of the response. */
export class Failure extends Error {
  readonly code: string
  readonly kind: ErrorKind
  readonly details: Readonly<Record<string, unknown>>
  readonly status: number
  constructor(code: string, kind: ErrorKind, details: Readonly<Record<string, unknown>>, cause?: unknown) {
    super(code, cause === undefined ? undefined : { cause })
    this.name = 'Failure'
    this.code = code
    this.kind = kind
    this.details = details
    this.status = kind.status
  }
}

/** The meaning of a code of this table, or of the platform; undefined for any other. */
export const kindOf = (table: ErrorTable, code: string): ErrorKind | undefined =>
  [table, platformErrors as ErrorTable].find((each) => Object.hasOwn(each, code))?.[code]

type Fail<Code extends string> = (code: Code, details?: Readonly<Record<string, unknown>>, cause?: unknown) => Failure

/** Creates errors with the codes of a module in addition to the platform's own. */
export const failWith =
  <const T extends ErrorTable>(table: T): Fail<(keyof T & string) | keyof typeof platformErrors> =>
  (code, details = {}, cause) =>
    new Failure(code, kindOf(table, code) as ErrorKind, details, cause)

/** Creates errors with the platform's codes. */
export const fail = failWith({})

/** The error for a code of this table, or of the platform; undefined for any other. */
export const failureOf = (
  table: ErrorTable,
  code: unknown,
  details: Readonly<Record<string, unknown>> = {},
  cause?: unknown,
): Failure | undefined => {
  const kind = typeof code === 'string' ? kindOf(table, code) : undefined
  return kind && new Failure(code as string, kind, details, cause)
}
