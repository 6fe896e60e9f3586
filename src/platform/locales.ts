/**
 * The supported languages by their tag (BCP 47), the default first. Add a language here: types, negotiation, validation, pages and
 * mails follow, and what has no texts in it yet does not compile.
 */
export const locales = ['en', 'zh-TW'] as const
export type Locale = (typeof locales)[number]
export const defaultLocale: Locale = locales[0]

export type LocalizedText = Readonly<Record<Locale, string>>

type OnePer<L extends readonly unknown[]> = { readonly [N in keyof L]: string }

/** A text with one value per language, in the order of `locales`. */
export const localized = (...texts: OnePer<typeof locales>): LocalizedText =>
  Object.fromEntries(locales.map((locale, n) => [locale, texts[n]])) as LocalizedText

/** What each language calls itself. */
export const languageNames: LocalizedText = { en: 'English', 'zh-TW': '繁體中文' }

const none: LocalizedText = { en: 'nothing', 'zh-TW': '無' }
const separators = { and: { en: ', ', 'zh-TW': '、' }, or: { en: ', or ', 'zh-TW': '，或' } } as const

const isLocalized = (value: unknown): value is LocalizedText =>
  typeof value === 'object' && value !== null && locales.every((locale) => locale in value)
/** An error detail in a language, if it is one of our texts. */
export const inLocale = (fact: unknown, locale: Locale): unknown => (isLocalized(fact) ? fact[locale] : fact)

/** Joins values as the language does. */
export const listOf = (values: readonly unknown[], locale: Locale, relation: keyof typeof separators = 'and'): string =>
  values.length === 0 ? none[locale] : values.join(separators[relation][locale])

/** Characters of an Accept-Language header that are read: browsers send about fifty. */
const mostRead = 500
const readPart = (header: string): string =>
  header.length <= mostRead ? header : header.slice(0, header.lastIndexOf(',', mostRead) + 1)

const primary = (tag: string): string => (tag.split('-', 1)[0] as string).toLowerCase()
/** The language with this tag, otherwise one with its primary subtag: `zh-HK` reads zh-TW. */
const supported = (tag: string): Locale | undefined =>
  locales.find((locale) => locale.toLowerCase() === tag) ?? locales.find((locale) => primary(locale) === primary(tag))

/** The supported language that an Accept-Language header prefers (RFC 9110, 12.5.4), or the default. */
export const localeOf = (header: string | undefined): Locale => {
  const wanted = readPart(header ?? '')
    .split(',')
    .map((part) => {
      const [tag = '', ...parameters] = part.trim().toLowerCase().split(';')
      const weight = parameters.map((parameter) => /^\s*q=([\d.]+)/.exec(parameter)?.[1]).find((found) => found !== undefined)
      return { locale: supported(tag.trim()), weight: weight === undefined ? 1 : Number(weight) }
    })
    .filter(({ weight }) => weight > 0)
    .sort((a, b) => b.weight - a.weight)
  return wanted.find(({ locale }) => locale !== undefined)?.locale ?? defaultLocale
}
