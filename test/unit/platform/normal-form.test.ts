import fc from 'fast-check'
import t from 'tap'
import { Type } from 'typebox'
import { type FormName, fold, forms, type InputForm, seenLength } from '../../../src/platform/normal-form.ts'
import { compile, parse, Strict, Text } from '../../../src/platform/schema.ts'

/** Well-formed text with many invisible, full-width and composing characters. */
const odd = fc.constantFrom(
  ...' \t\n\u00a0\u3000\u200b\u200d\u00ad\ufeff\u202e\u2066\u0301\u0007\u2028',
  ...'aＡé@＠．.-－+１1ßσςΣİıﬁ﷽㍿가👩‍🚀ﾞｶΩ',
)
const text = fc.string({ unit: fc.oneof(odd, fc.string({ unit: 'binary', minLength: 1, maxLength: 1 })), maxLength: 40 })
const names = Object.keys(forms) as FormName[]

t.test('normalization is idempotent', async (t) => {
  for (const name of names) {
    const { normal }: InputForm = forms[name]
    t.doesNotThrow(() => fc.assert(fc.property(text, (typed) => normal(normal(typed)) === normal(typed))), name)
  }
  fc.assert(fc.property(text, (typed) => fold(fold(typed)) === fold(typed)))
})

t.test('composed and decomposed text have the same normal form', async (t) => {
  for (const name of names.filter((one) => one !== 'typed' && one !== 'token')) {
    const { normal }: InputForm = forms[name]
    t.doesNotThrow(
      () => fc.assert(fc.property(text, (typed) => normal(typed.normalize('NFD')) === normal(typed.normalize('NFC')))),
      name,
    )
  }
})

t.test('folding ignores case and compatibility forms', async () => {
  const word = fc.string({ unit: fc.constantFrom(...'aZßéÉσςΣжЖ鍵ｶﾞﬁＷw１1Å'), maxLength: 20 })
  fc.assert(
    fc.property(word, fc.constantFrom('NFC', 'NFD', 'NFKC', 'NFKD'), (typed, form) => {
      const folded = fold(typed)
      return [typed.normalize(form), typed.toUpperCase(), typed.toLowerCase()].every((one) => fold(one) === folded)
    }),
  )
})

t.test('a name has no hidden characters and at least one visible one', async () => {
  const { normal, problem }: InputForm = forms.name
  fc.assert(
    fc.property(text, (typed) => {
      const name = normal(typed)
      if (problem?.(name)) return true
      return (
        !/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069\u200b\ufeff]/u.test(name) && seenLength(name) > 0 && name === name.trim()
      )
    }),
    { numRuns: 2000 },
  )
})

t.test('names in many scripts and emoji are accepted', async (t) => {
  const { normal, problem }: InputForm = forms.name
  for (const name of [
    '陳小明',
    '𠮷野家',
    'Nguyễn Văn A',
    "O'Brien-Smith",
    'محمد',
    'نرگس‌زار',
    'क्‍ष',
    '👩‍👩‍👧‍👦',
    '☕️ 1',
    '🏴󠁧󠁢󠁷󠁬󠁳󠁿',
    '\u{f0000}',
    'ﾀﾞ',
    '1',
    '·',
  ]) {
    t.equal(normal(name), name.normalize('NFC'))
    t.equal(problem?.(normal(name)), undefined, name)
  }
})

t.test('validation replaces the input with its normal form, and checks that', async (t) => {
  const schema = Strict({
    one: Text('sku', { maxLength: 3 }),
    more: Type.Optional(Type.Array(Text('email', { format: 'email' }))),
  })
  t.same(parse(schema, { one: ' ＡＢＣ\n', more: ['ｘ＠Ｅx．com'] }), { one: 'ABC', more: ['x@ex.com'] })
  t.throws(() => parse(schema, { one: 'abcd' }), { code: 'request.invalid', details: { errors: [{ field: '/one' }] } })
  t.throws(() => parse(schema, { one: '\u200b' }), { code: 'request.invalid', details: { errors: [{ field: '/one' }] } })
  const validate = compile(schema)
  const long = { one: 'ﷺ'.repeat(100) }
  t.equal(validate(long), false, 'text that is too long in any form is not normalized')
  t.equal(long.one.length, 100)
})

t.test("a person's name contains no link", async (t) => {
  const { normal, problem }: InputForm = forms.person
  const hostile = [
    'Win at evil.com',
    'https://evil.example',
    'www.evil',
    'a.bc/x',
    'ｅｖｉｌ．ｃｏｍ',
    'shop.tw now',
    'Ada\nSee evil',
    'A\u2028da',
  ]
  for (const name of hostile) t.ok(problem?.(normal(name)), encodeURI(name))
  const people = [
    'Ada Lovelace',
    '陳小明',
    'J.R.R. Tolkien',
    'J.de Vries',
    'Dr. Me',
    "O'Neil-Smith, Jr.",
    'Müller v. Com',
    'A/B',
    'Sammy Davis jr.',
  ]
  for (const name of people) t.notOk(problem?.(normal(name)), name)
})
