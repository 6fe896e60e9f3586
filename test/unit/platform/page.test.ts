import fc from 'fast-check'
import t from 'tap'
import { Failure } from '../../../src/platform/errors.ts'
import { decodeCursor, encodeCursor, pageOf } from '../../../src/platform/page.ts'

const refusal = (cursor: string): unknown => {
  try {
    decodeCursor(cursor)
  } catch (error) {
    return error
  }
  return undefined
}

t.test('a cursor decodes to its position', async () => {
  const times = fc.date({ noInvalidDate: true, min: new Date('1970-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z') })
  fc.assert(
    fc.property(times, fc.integer({ min: 0, max: 2_147_483_647 }), (time, id) => {
      const at = time.toISOString().replace('.000Z', 'Z')
      const read = decodeCursor(encodeCursor({ at, id }))
      return read.at === at && read.id === id
    }),
  )
})

t.test('an invented cursor is refused before it reaches SQL', async (t) => {
  const made = ['', 'x', '2025-01-01T00:00:00Z', '2025-02-30T00:00:00Z 1', '0000-01-01T00:00:00Z 1', '2025-01-01T00:00:00Z -1']
  const more = ['2025-01-01T00:00:00Z 2147483648', '2025-01-01T00:00:00Z 1.5', '2025-01-01T00:00:00+08:00 1', "2025' or 1=1 1"]
  for (const text of [...made, ...more])
    t.match(refusal(Buffer.from(text).toString('base64url')), { code: 'request.invalid_cursor' }, text)
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (cursor) => {
      const error = refusal(cursor)
      return error instanceof Failure && error.code === 'request.invalid_cursor'
    }),
  )
})

t.test('a page ends at its limit, and has a cursor only if there are more items', async (t) => {
  const position = (id: number) => ({ at: '2025-01-01T00:00:00Z', id })
  t.same(pageOf([9, 8, 7], 2, position), { items: [9, 8], next: encodeCursor(position(8)) })
  t.strictSame(pageOf([9, 8], 2, position), { items: [9, 8] })
  t.strictSame(pageOf([], 2, position), { items: [] })
})
