/**
 * Normalization of input: the only place that knows the forms. A schema names the form of a field as `x-normal-form` (see `Text`
 * in schema.ts), and validation replaces the input by its normal form.
 */

import type { LocalizedText } from './locales.ts'

export interface InputForm {
  /** Idempotent: a normal form maps to itself. */
  readonly normal: (typed: string) => string
  /** The error of a normal form; undefined if it is valid. */
  readonly problem?: (text: string) => LocalizedText | undefined
}

/** Invisible on a screen (Unicode, Default_Ignorable_Code_Point), and U+2800, whose dots are all blank. */
const invisible = /[\p{Default_Ignorable_Code_Point}\u2800]/gu
/**
 * Meaningless in a name or an address, but often copied with them: zero width space, word joiner, byte order mark, soft hyphen.
 */
const copiedAlong = /[\u200b\u2060\ufeff\u00ad]/g
const space = /\s+/gu
const dash = /[\p{Dash_Punctuation}\u2212]/gu
/** A visible letter, digit, sign or picture; private-use characters occur in rare names. */
const visible = /[[\p{L}\p{N}\p{P}\p{S}\p{Co}]--[\p{Default_Ignorable_Code_Point}\u2800]]/v
const onlyVisible = /^[[\p{L}\p{N}\p{P}\p{S}\p{M}]--[\p{Default_Ignorable_Code_Point}\u2800]]+$/v
const control = /[\p{Cc}\u2028\u2029\p{Noncharacter_Code_Point}]/u
const controlInText = /[[\p{Cc}\u2028\u2029\p{Noncharacter_Code_Point}]--[\t\n\r]]/v
/** Changes the order of the following text on a screen, so that it reads differently (Unicode Technical Report 36, 3.2). */
const turning = /[\u202a-\u202e\u2066-\u2069]/
/** Used only in flags such as that of Wales. */
const tag = /[\u{e0000}-\u{e007f}]/u
const emoji = /\p{RGI_Emoji}/gv

const hidden: LocalizedText = {
  en: 'must not contain control characters or characters that turn the direction of text',
  'zh-TW': '不得包含控制字元或改變文字方向的字元',
}
const unseen: LocalizedText = { en: 'must contain a character that can be seen', 'zh-TW': '必須包含看得見的字元' }

/** What mail programs turn into a link: a scheme, a path behind a host, a host with a common ending; "J.de Vries" is none. */
const link = new RegExp(
  [
    ':\\/\\/|\\bwww\\.|[\\p{L}\\p{N}]\\.\\p{L}{2,24}\\/',
    '[\\p{L}\\p{N}-]\\.(?:com|net|org|info|biz|app|dev|xyz|top|shop|site|online|link|click|store)(?![\\p{L}\\p{N}-])',
    '[\\p{L}\\p{N}-]{3}\\.(?:io|co|me|tw|cn|hk|jp|kr|ru|de|uk|eu|us|to|ly)(?![\\p{L}\\p{N}-])',
  ].join('|'),
  'iu',
)

const linked: LocalizedText = { en: 'must not contain an address of the web', 'zh-TW': '不得包含網址' }

const clean = (text: string, forbidden: RegExp): boolean =>
  !forbidden.test(text) && !turning.test(text) && !tag.test(text.replace(emoji, ''))

/**
 * Trimmed like a browser does, and without copied invisible characters. NFC: looks as it was typed, whatever the keyboard
 * composed.
 */
const line = (typed: string): string => typed.replace(copiedAlong, '').trim().normalize('NFC')

const name: InputForm = {
  normal: line,
  problem: (text) => (!clean(text, control) ? hidden : visible.test(text) ? undefined : unseen),
}

/** A person's name: mails to other people contain it, so it may hold no link. */
const person: InputForm = {
  normal: line,
  problem: (text) => name.problem?.(text) ?? (link.test(text.normalize('NFKC')) ? linked : undefined),
}

/** Several lines; may be empty. */
const text: InputForm = {
  normal: (typed) => typed.normalize('NFC'),
  problem: (text) => (clean(text, controlInText) ? undefined : hidden),
}

/** NFKC, as identifiers are compared (Unicode Standard Annex 31): full-width letters become plain letters. */
const sku: InputForm = {
  normal: (typed) => typed.replace(copiedAlong, '').normalize('NFKC').trim(),
  problem: (text) =>
    onlyVisible.test(text)
      ? undefined
      : { en: 'must consist of characters that can be seen, without spaces', 'zh-TW': '只能包含看得見的字元，且不得有空格' },
}

/** Addresses are ASCII only, so NFKC only undoes an input method's full-width letters. A domain has no case (RFC 5321, 2.4). */
const email: InputForm = {
  normal: (typed) => {
    const address = typed.replace(invisible, '').normalize('NFKC').trim()
    const at = address.lastIndexOf('@')
    return (at < 0 ? address : address.slice(0, at) + address.slice(at).toLowerCase()).normalize('NFKC')
  },
}

/** Six digits of an authenticator, or a recovery code, with any grouping and width of apps and keyboards. */
const code: InputForm = {
  normal: (typed) =>
    typed.normalize('NFKC').replace(invisible, '').replace(space, '').replace(dash, '').toLowerCase().normalize('NFKC'),
  problem: (text) =>
    /^(\d{6}|[0-9a-f]{20})$/.test(text)
      ? undefined
      : { en: 'must be six digits, or a recovery code as it was shown', 'zh-TW': '必須是六位數字，或當時顯示的復原碼' },
}

/** ISO 3166-1 alpha-2. */
const country: InputForm = { normal: (typed) => typed.normalize('NFKC').trim().toUpperCase().normalize('NFKC') }

/** As a client or a mail program copies it. */
const token: InputForm = { normal: (typed) => typed.replace(invisible, '').trim() }

/** NFKC, under which it is hashed (NIST SP 800-63B-4, 3.1.1.2): keyboards differ. Further rules: password-policy.ts. */
const password: InputForm = {
  normal: (typed) => typed.normalize('NFKC'),
  problem: (text) =>
    control.test(text) ? { en: 'must not contain control characters', 'zh-TW': '不得包含控制字元' } : undefined,
}

/** Unchanged: text that is only compared, elsewhere, or that a library parses. */
const typed: InputForm = { normal: (text) => text }

export const forms = { name, person, text, sku, email, code, country, token, password, typed } as const satisfies Record<
  string,
  InputForm
>
export type FormName = keyof typeof forms

/**
 * Text without case, compatibility forms and invisible characters, for comparison: NFKC_Casefold (Unicode, 3.13) as far as
 * JavaScript supports it. The application folds, not the database, whose `lower` differs with its version and locale.
 */
export const fold = (text: string): string =>
  text
    .normalize('NFKC')
    .replace(invisible, '')
    // Upper case first: ß is SS.
    .toUpperCase()
    .toLowerCase()
    .replaceAll('ς', 'σ')
    .normalize('NFKC')
    .replace(space, ' ')

/** Number of visibly distinct characters: a run of spaces is one, invisible characters are none. */
export const seenLength = (text: string): number => [...text.replace(invisible, '').trim().replace(space, ' ')].length
