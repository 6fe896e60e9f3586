import { type LocalizedText, listOf, locales, localized } from './locales.ts'

/** Descriptions of the regular expressions in our schemas, so that no response shows an expression. */
const patterns: Readonly<Record<string, LocalizedText>> = {
  '^\\S+$': localized('must not contain spaces', '不得包含空白字元'),
  '^[A-Z]{2}$': localized('must be a country code of two capital letters, such as TW', '必須是兩個大寫字母的國家代碼，例如 TW'),
  '^[\\x21-\\x7e]+$': localized(
    'must consist of visible ASCII characters without spaces',
    '只能使用可見的 ASCII 字元，不得有空格',
  ),
  '^[\\x20-\\x7e]+$': localized('must consist of visible ASCII characters and spaces', '只能使用可見的 ASCII 字元與空格'),
  '^[1-9]\\d{0,9}(,[1-9]\\d{0,9}){0,99}$': localized(
    'must be ids with commas between, such as 1,2,3; at most 100',
    '必須是以逗號分隔的編號，例如 1,2,3；最多 100 個',
  ),
}

const formats: Readonly<Record<string, LocalizedText>> = {
  currency: localized('must be a currency code of ISO 4217, such as TWD or USD', '必須是 ISO 4217 的貨幣代碼，例如 TWD 或 USD'),
  email: localized('must be an e-mail address, such as name@example.com', '必須是電子郵件地址，例如 name@example.com'),
  'date-time': localized(
    'must be a time with its time zone, such as 2025-01-31T09:30:00Z',
    '必須是含時區的時間，例如 2025-01-31T09:30:00Z',
  ),
  uuid: localized(
    'must be a UUID, such as 01890000-0000-7000-8000-000000000000',
    '必須是 UUID，例如 01890000-0000-7000-8000-000000000000',
  ),
}
const types: Readonly<Record<string, LocalizedText>> = {
  string: localized('must be text', '必須是文字'),
  integer: localized('must be a whole number', '必須是整數'),
  number: localized('must be a number', '必須是數字'),
  boolean: localized('must be true or false', '必須是 true 或 false'),
  array: localized('must be a list', '必須是清單'),
  object: localized('must be an object', '必須是物件'),
  null: localized('must be null', '必須是 null'),
}
const entries = (n: number) => (n === 1 ? 'entry' : 'entries')

/** The message for each keyword of JSON Schema, or for our own rules. */
export const rules = {
  invalid: () => localized('is not valid', '內容不正確'),
  required: () => localized('is required', '此欄位必填'),
  unknown: (name: string) => localized(`unknown field "${name}"`, `未知的欄位「${name}」`),
  type: (name: string) => types[name] ?? rules.invalid(),
  pattern: (pattern: string) => patterns[pattern] ?? localized('does not have the right form', '格式不正確'),
  format: (name: string) => formats[name] ?? localized('does not have the right form', '格式不正確'),
  oneOf: (values: readonly unknown[]) =>
    localized(`must be one of: ${listOf(values, 'en')}`, `必須是下列其中之一：${listOf(values, 'zh-TW')}`),
  minLength: (n: number) =>
    n === 1
      ? localized('must not be empty', '不得為空')
      : localized(`must have at least ${n} characters`, `至少需要 ${n} 個字元`),
  maxLength: (n: number) => localized(`must have at most ${n} characters`, `最多 ${n} 個字元`),
  minimum: (n: number) => localized(`must be at least ${n}`, `必須大於或等於 ${n}`),
  maximum: (n: number) => localized(`must be at most ${n}`, `必須小於或等於 ${n}`),
  minItems: (n: number) => localized(`must have at least ${n} ${entries(n)}`, `至少需要 ${n} 筆`),
  maxItems: (n: number) => localized(`must have at most ${n} ${entries(n)}`, `最多 ${n} 筆`),
  minProperties: (n: number) => localized(`must have at least ${n} field${n === 1 ? '' : 's'}`, `至少需要 ${n} 個欄位`),
  /** Any one of several rules. */
  either: (all: readonly LocalizedText[]): LocalizedText =>
    Object.fromEntries(
      locales.map((locale) => [
        locale,
        listOf(
          all.map((each) => each[locale]),
          locale,
          'or',
        ),
      ]),
    ) as LocalizedText,
  oneProduct: () => localized('must have either product_id or product', '必須提供 product_id 或 product 其中之一'),
  eachAtMost: (n: number) => localized(`each must be at most ${n}`, `每一個都必須小於或等於 ${n}`),
} as const
