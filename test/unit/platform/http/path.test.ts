import fc from 'fast-check'
import t from 'tap'
import { pathOf } from '../../../../src/platform/http/path.ts'

/** A simple reference implementation; its time is quadratic in the length of a part. */
const plain = (url: string): string => (url.split('?', 1)[0] ?? '').replace(/[^/]*%[^/]*/g, '[redacted]')

t.test('a path is logged without its query and without percent-encoded parts', async () => {
  const url = fc.array(fc.constantFrom('/', '%', 'a', '%41', '?', '.', '1'), { maxLength: 16 }).map((signs) => signs.join(''))
  fc.assert(
    fc.property(url, (text) => pathOf(text) === plain(text)),
    { numRuns: 2000 },
  )
})

t.test('long parts of a path are redacted, and its logged length is bounded', async (t) => {
  t.equal(pathOf(`/api/v1/products/${'a'.repeat(65)}`), '/api/v1/products/[redacted]')
  t.equal(pathOf(`/api/v1/products/${'a'.repeat(64)}`), `/api/v1/products/${'a'.repeat(64)}`)
  fc.assert(
    fc.property(fc.constantFrom('a', '/', '%41/', 'a/', '/%'), fc.nat(16_384), (part, count) => {
      return pathOf(`/${part.repeat(count)}`).length <= 16 * 65 + 2
    }),
    { numRuns: 200 },
  )
})
