import { type Failure, fail } from '../errors.ts'
import type { LocalizedText } from '../locales.ts'

/** Why a request cannot be read. */
export const reasons = {
  notUtf8: { en: 'the body is not UTF-8', 'zh-TW': '內容不是 UTF-8 編碼' },
  notJson: { en: 'the body is not JSON', 'zh-TW': '內容不是 JSON' },
  prototype: { en: 'the key __proto__ is not allowed', 'zh-TW': '不允許使用鍵 __proto__' },
  repeatedKey: { en: 'an object names a key twice', 'zh-TW': '同一個物件中有重複的鍵' },
  queryNotUtf8: { en: 'the query is not UTF-8 in percent-encoding', 'zh-TW': '查詢字串不是以百分號編碼的 UTF-8' },
  repeatedParameter: { en: 'the query names a parameter twice', 'zh-TW': '查詢字串中有重複的參數' },
  host: { en: 'exactly one Host header is needed', 'zh-TW': '必須有且只有一個 Host 標頭' },
  hostValue: { en: 'the Host header is no name or address', 'zh-TW': 'Host 標頭不是主機名稱或位址' },
  repeatedHeader: { en: 'a header that has one value comes twice', 'zh-TW': '只能有一個值的標頭重複出現' },
  transferEncoding: { en: 'HTTP/1.0 has no Transfer-Encoding', 'zh-TW': 'HTTP/1.0 不支援 Transfer-Encoding' },
  address: { en: 'the address cannot be decoded', 'zh-TW': '無法解碼此位址' },
} as const satisfies Record<string, LocalizedText>

/** Repeats to the client only a short name without personal data. */
export const repeatedKey = (key: string): LocalizedText =>
  /^[a-z][a-z0-9_.-]{0,63}$/i.test(key)
    ? { en: `an object names the key ${key} twice`, 'zh-TW': `同一個物件中有重複的鍵 ${key}` }
    : reasons.repeatedKey

export const repeatedParameter = (name: string): LocalizedText =>
  /^\w{1,64}$/.test(name)
    ? { en: `the query names ${name} twice`, 'zh-TW': `查詢字串中有重複的參數 ${name}` }
    : reasons.repeatedParameter

export const tooMany = {
  values: (most: number): LocalizedText => ({ en: `there are more than ${most} values`, 'zh-TW': `值超過 ${most} 個` }),
  members: (most: number): LocalizedText => ({
    en: `an object has more than ${most} members`,
    'zh-TW': `物件的成員超過 ${most} 個`,
  }),
  levels: (most: number): LocalizedText => ({
    en: `it is nested more than ${most} levels deep`,
    'zh-TW': `巢狀結構超過 ${most} 層`,
  }),
  parameters: (most: number): LocalizedText => ({
    en: `the query has more than ${most} parameters`,
    'zh-TW': `查詢字串的參數超過 ${most} 個`,
  }),
}

export const malformed = (reason: LocalizedText, cause?: unknown): Failure => fail('request.malformed', { reason }, cause)
