/**
 * What people type, brought to one form: the only place that knows the forms. A schema names the form of a field as
 * `x-normal-form` (see `Text` in schema.ts), and validation puts the normal form in the place of what was typed.
 */

export interface InputForm {
  /** Idempotent: of a normal form, itself. */
  readonly normal: (typed: string) => string
  /** What is wrong with a normal form; undefined where nothing is. */
  readonly problem?: (text: string) => Problem | undefined
}

/** What is wrong, in each language of errors.ts. */
export interface Problem {
  readonly en: string
  readonly 'zh-TW': string
}

/** Takes no place on a screen (Unicode, Default_Ignorable_Code_Point), and U+2800, whose dots are all blank. */
const invisible = /[\p{Default_Ignorable_Code_Point}\u2800]/gu
/** Without meaning in a name or an address, but copied along with them: zero width space, word joiner, byte order mark, soft hyphen. */
const copiedAlong = /[\u200b\u2060\ufeff\u00ad]/g
const space = /\s+/gu
const dash = /[\p{Dash_Punctuation}\u2212]/gu
/** A letter, digit, sign or picture that can be seen; a private character is a rare name's. */
const visible = /[[\p{L}\p{N}\p{P}\p{S}\p{Co}]--[\p{Default_Ignorable_Code_Point}\u2800]]/v
const onlyVisible = /^[[\p{L}\p{N}\p{P}\p{S}\p{M}]--[\p{Default_Ignorable_Code_Point}\u2800]]+$/v
const control = /[\p{Cc}\u2028\u2029\p{Noncharacter_Code_Point}]/u
const controlInText = /[[\p{Cc}\u2028\u2029\p{Noncharacter_Code_Point}]--[\t\n\r]]/v
/** Turns the order of what follows on a screen, so that it reads as something else (Unicode Technical Report 36, 3.2). */
const turning = /[\u202a-\u202e\u2066-\u2069]/
/** Of flags such as that of Wales, and of nothing else. */
const tag = /[\u{e0000}-\u{e007f}]/u
const emoji = /\p{RGI_Emoji}/gv

const hidden: Problem = {
  en: 'must not contain control characters or characters that turn the direction of text',
  'zh-TW': '不得包含控制字元或改變文字方向的字元',
}
const unseen: Problem = { en: 'must contain a character that can be seen', 'zh-TW': '必須包含看得見的字元' }

/** What a mail program makes a link of: a scheme, a path behind a host, a host by its usual endings; "J.de Vries" is none. */
const link = new RegExp(
  [
    ':\\/\\/|\\bwww\\.|[\\p{L}\\p{N}]\\.\\p{L}{2,24}\\/',
    '[\\p{L}\\p{N}-]\\.(?:com|net|org|info|biz|app|dev|xyz|top|shop|site|online|link|click|store)(?![\\p{L}\\p{N}-])',
    '[\\p{L}\\p{N}-]{3}\\.(?:io|co|me|tw|cn|hk|jp|kr|ru|de|uk|eu|us|to|ly)(?![\\p{L}\\p{N}-])',
  ].join('|'),
  'iu',
)

const linked: Problem = { en: 'must not contain an address of the web', 'zh-TW': '不得包含網址' }

const clean = (text: string, forbidden: RegExp): boolean =>
  !forbidden.test(text) && !turning.test(text) && !tag.test(text.replace(emoji, ''))

/** As a browser trims, and without what is copied along. NFC: shown as it was typed, whatever the keyboard composed it of. */
const line = (typed: string): string => typed.replace(copiedAlong, '').trim().normalize('NFC')

const name: InputForm = {
  normal: line,
  problem: (text) => (!clean(text, control) ? hidden : visible.test(text) ? undefined : unseen),
}

/** Of a person: it is written to others in mails, so it holds no link. */
const person: InputForm = {
  normal: line,
  problem: (text) => name.problem?.(text) ?? (link.test(text.normalize('NFKC')) ? linked : undefined),
}

/** Of several lines; may be empty. */
const text: InputForm = {
  normal: (typed) => typed.normalize('NFC'),
  problem: (text) => (clean(text, controlInText) ? undefined : hidden),
}

/** NFKC, as identifiers are compared (Unicode Standard Annex 31): full-width letters are the letters. */
const sku: InputForm = {
  normal: (typed) => typed.replace(copiedAlong, '').normalize('NFKC').trim(),
  problem: (text) =>
    onlyVisible.test(text)
      ? undefined
      : { en: 'must consist of characters that can be seen, without spaces', 'zh-TW': '只能包含看得見的字元，且不得有空格' },
}

/** Addresses here are ASCII alone, so that NFKC only undoes an input method's full-width letters. A domain has no case (RFC 5321, 2.4). */
const email: InputForm = {
  normal: (typed) => {
    const address = typed.replace(invisible, '').normalize('NFKC').trim()
    const at = address.lastIndexOf('@')
    return (at < 0 ? address : address.slice(0, at) + address.slice(at).toLowerCase()).normalize('NFKC')
  },
}

/** Six digits of an authenticator, or a recovery code, as apps and keyboards group and widen them. */
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

/** NFKC, under which it is hashed (NIST SP 800-63B-4, 3.1.1.2): keyboards differ. What else it must be: password-policy.ts. */
const password: InputForm = {
  normal: (typed) => typed.normalize('NFKC'),
  problem: (text) =>
    control.test(text) ? { en: 'must not contain control characters', 'zh-TW': '不得包含控制字元' } : undefined,
}

/** Left as it is: text that is only compared, in its own place, or that a library reads. */
const typed: InputForm = { normal: (text) => text }

export const forms = { name, person, text, sku, email, code, country, token, password, typed } as const satisfies Record<
  string,
  InputForm
>
export type FormName = keyof typeof forms

/**
 * Text without its case, its compatibility forms and what is invisible, for comparing: NFKC_Casefold (Unicode, 3.13) as far as
 * JavaScript has it. The application folds and not the database, whose `lower` differs with its version and locale.
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

/** How many characters of it a person can tell apart from nothing: a run of spaces is one, what is invisible none. */
export const seenLength = (text: string): number => [...text.replace(invisible, '').trim().replace(space, ' ')].length
