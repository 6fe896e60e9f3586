import t from 'tap'
import { assertCleanText } from '../../../src/platform/schema.ts'

t.test('NUL and lone surrogates are refused in parameter names and values', async (t) => {
  for (const bad of ['a\0', '\ud800', 'x\udc00y', '\udc00\ud800'])
    for (const parameters of [{ a: bad }, { a: 'good', b: bad }, { [bad]: 'a' }, { a: ['good', bad] }])
      t.throws(() => assertCleanText(parameters), { code: 'request.invalid_text' }, JSON.stringify(parameters))
  for (const good of [undefined, {}, { a: '' }, { a: '鍵盤 👩‍👩‍👧', b: '\u0001\uffff' }])
    t.doesNotThrow(() => assertCleanText(good))
})
