import t from 'tap'
import { listOf, localeOf, locales, localized } from '../../../src/platform/locales.ts'

t.test('Accept-Language is matched by weight; English is the default', async (t) => {
  const wanted: Record<string, string> = {
    '': 'en',
    '*': 'en',
    fr: 'en',
    'zh-TW': 'zh-TW',
    zh: 'zh-TW',
    'ZH-hant-tw': 'zh-TW',
    'en, zh': 'en',
    'en;q=0.1, zh;q=0.2': 'zh-TW',
    'fr;q=1, zh; q=0.5 ,en;q=0.4': 'zh-TW',
    'zh;q=0, en;q=0.1': 'en',
    'zhx, en': 'en',
    ';q=x,,': 'en',
  }
  for (const [header, locale] of Object.entries(wanted)) t.equal(localeOf(header), locale, header)
  t.equal(localeOf(undefined), 'en')
})

t.test('a tag matches one of our locales or its primary subtag', async (t) => {
  for (const locale of locales) {
    t.equal(localeOf(locale), locale)
    t.equal(localeOf(locale.toUpperCase()), locale)
    t.equal(localeOf(`${locale.split('-')[0]}-XX`), locale)
  }
  t.equal(localeOf(`${'fr,'.repeat(200)}zh`), 'en', 'the rest of a long header is ignored')
})

t.test('lists and texts have every language', async (t) => {
  t.same(localized('a', 'b'), { en: 'a', 'zh-TW': 'b' })
  t.same(
    locales.map((locale) => [listOf(['x', 'y'], locale), listOf(['x', 'y'], locale, 'or'), listOf([], locale)]),
    [
      ['x, y', 'x, or y', 'nothing'],
      ['x、y', 'x，或y', '無'],
    ],
  )
})
