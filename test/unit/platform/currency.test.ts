import fc from 'fast-check'
import t from 'tap'
import { currencyDigits, formatMoney, isCurrency } from '../../../src/platform/currency.ts'
import { fieldErrors } from '../../../src/platform/field-errors.ts'
import { Currency, compile } from '../../../src/platform/schema.ts'

const digitsOfIntl = (currency: string): number =>
  new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? -1

t.test('the digits are those of ISO 4217; Intl, which follows practice, differs only in these', async (t) => {
  const differing = [...currencyDigits].filter(([code, digits]) => digitsOfIntl(code) !== digits)
  const inPractice = 'AFN ALL COP HUF IDR IQD IRR KPW LAK LBP MGA MMK PKR SOS SYP YER'.split(' ')
  t.same(differing.map(([code]) => code).sort(), [...inPractice, 'TWD'].sort())
  for (const code of inPractice) t.equal(digitsOfIntl(code), 0, `${code}: its minor unit is not used`)
  const some = { TWD: 0, JPY: 0, KRW: 0, USD: 2, EUR: 2, CNY: 2, KWD: 3, BHD: 3, CLF: 4, XCG: 2 }
  for (const [code, digits] of Object.entries(some)) t.equal(currencyDigits.get(code), digits, code)
})

t.test('the codes are those of Intl, except funds and former currencies', async (t) => {
  const ofIntl = new Set(Intl.supportedValuesOf('currency'))
  const missing = [...currencyDigits.keys()].filter((code) => !ofIntl.has(code))
  t.same(
    missing.sort(),
    ['BOV', 'CHE', 'CHW', 'CLF', 'COU', 'MXV', 'USN', 'UYI', 'UYW', 'VED'],
    'funds, and one digital currency',
  )
  t.ok(currencyDigits.size > 150)
})

t.test('an unknown code, or one without a minor unit, is refused with a clear message', async (t) => {
  const validate = compile(Currency)
  for (const code of ['TWD', 'USD', 'XCG']) t.ok(validate(code), code)
  for (const code of ['QQQ', 'twd', 'USDX', '', 'XXX', 'XAU', 'XTS', 'DEM', 'ANG', 'BGN', 'toString', '__proto__']) {
    t.notOk(validate(code), code)
    t.match(fieldErrors(validate.errors), [
      { field: '/', message: { en: 'must be a currency code of ISO 4217, such as TWD or USD', 'zh-TW': /^必須是 ISO 4217/ } },
    ])
    t.notOk(isCurrency(code))
  }
})

t.test('an amount shows its country and its digits', async (t) => {
  const shown = {
    'NT$1,999': [1999, 'TWD'],
    'US$19.99': [1999, 'USD'],
    'US$0.05': [5, 'USD'],
    'A$19.99': [1999, 'AUD'],
    'JP¥1,999': [1999, 'JPY'],
    'CN¥19.99': [1999, 'CNY'],
    '€19.99': [1999, 'EUR'],
    'CHF\u00a019.99': [1999, 'CHF'],
    'KWD\u00a01.999': [1999, 'KWD'],
    'US$90,071,992,547,409.91': [Number.MAX_SAFE_INTEGER, 'USD'],
    'QQQ\u00a01,999': [1999, 'QQQ'],
  } as const
  for (const [text, [amount, currency]] of Object.entries(shown)) t.equal(formatMoney(amount, currency), text)
  const dollars = [...currencyDigits.keys()].filter((code) => formatMoney(1, code).startsWith('$'))
  t.same(dollars, [], 'no currency is just $')
})

t.test('the digits of the text are the amount, for every amount', async () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.constantFrom(...currencyDigits.keys()), (amount, currency) => {
      const [, number = '', fraction = ''] = /([\d,]+)(?:\.(\d+))?$/.exec(formatMoney(amount, currency)) ?? []
      return fraction.length === currencyDigits.get(currency) && BigInt(number.replaceAll(',', '') + fraction) === BigInt(amount)
    }),
  )
})

t.test('no two currencies have the same text', async (t) => {
  const texts = [...currencyDigits.keys()].map((code) => formatMoney(0, code).replace(/[\d.,\s]/g, ''))
  t.same(
    texts.filter((text, n) => texts.indexOf(text) !== n),
    [],
  )
})
