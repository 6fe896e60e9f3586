import { data } from 'currency-codes'

/**
 * From ISO 4217 list one, without entries that have no minor unit ("N.A."): metals, bond market units, units of account, tests.
 */
const withoutMinorUnit = new Set('XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX'.split(' '))
/** Amendments since the library's list of 2024-06-25: the Caribbean guilder replaced ANG, the euro replaced BGN. */
const added = [['XCG', 2]] as const
const withdrawn = new Set(['ANG', 'BGN'])
/** By decision (docs/adr/0032): nobody pays in cents of a New Taiwan dollar, although ISO 4217 has two digits for it. */
const decided = [['TWD', 0]] as const

/** Digits of the minor unit by code: an amount of 1 is 10^-digits of the currency. */
export const currencyDigits: ReadonlyMap<string, number> = new Map([
  ...data
    .filter(({ code }) => !withoutMinorUnit.has(code) && !withdrawn.has(code))
    .map(({ code, digits }) => [code, digits] as const),
  ...added,
  ...decided,
])

/** Two francs whose symbols differ by a space. */
const lookAlike = new Set(['XAF', 'XOF'])

export const isCurrency = (code: string): boolean => currencyDigits.has(code)

/** Creating one takes a hundred times as long as using it. */
const formats = new Map<string, Intl.NumberFormat>()

/**
 * An amount in minor units as text for both languages: `NT$1,999`, `US$19.99`, `CHF 19.99`. English and Chinese write numbers in
 * the same way. Each omits its own dollar's country, which neutral English does not. An amount in an unknown currency, stored
 * before the table existed, is shown as it is.
 */
export const formatMoney = (amount: number, currency: string, currencyDisplay: 'symbol' | 'code' = 'symbol'): string => {
  const digits = currencyDigits.get(currency) ?? 0
  const key = `${currency} ${currencyDisplay}`
  const format =
    formats.get(key) ??
    new Intl.NumberFormat('en-001', {
      style: 'currency',
      currency,
      currencyDisplay: lookAlike.has(currency) ? 'code' : currencyDisplay,
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
    })
  formats.set(key, format)
  // As text: a division would round.
  return format.format(`${amount}E-${digits}` as Intl.StringNumericLiteral)
}
