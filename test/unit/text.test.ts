import fc from 'fast-check'
import t from 'tap'
import { assertCleanText, mayHideText } from '../../src/platform/text.ts'

t.test('NUL and lone surrogates are refused wherever they stand', async (t) => {
  for (const bad of ['a\0', '\ud800', 'x\udc00y', '\udc00\ud800'])
    for (const value of [bad, [bad], { a: { b: [1, bad] } }, { [bad]: 1 }])
      t.throws(() => assertCleanText(value), { code: 'request.invalid_text' }, JSON.stringify(value))
  for (const good of ['', '鍵盤 👩‍👩‍👧', '\u0001\uffff', 1, null, undefined, [true]]) t.doesNotThrow(() => assertCleanText(good))
})

t.test('the quick look at JSON never lets pass what the thorough one refuses', async (t) => {
  const text = fc.string({ unit: fc.constantFrom('\0', '\ud800', '\udfff', '\\', 'u0000', '"', '👩', 'a') })
  fc.assert(
    fc.property(text, (value) => {
      const hidden = value.includes('\0') || !value.isWellFormed()
      return !hidden || mayHideText(JSON.stringify({ value }))
    }),
  )
  t.ok(mayHideText('"\\uD83D"') && mayHideText('"\\udBff"'), 'whatever the case of the escape')
})
