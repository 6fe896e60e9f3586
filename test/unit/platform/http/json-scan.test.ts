import fc from 'fast-check'
import t from 'tap'
import { Failure } from '../../../../src/platform/errors.ts'
import { jsonLimits, scanJson } from '../../../../src/platform/http/json-scan.ts'

const refusal = (text: string): string => {
  try {
    scanJson(text)
    return 'none'
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return `${error.code} ${(error.details.reason as { en: string } | undefined)?.en ?? ''}`.trim()
  }
}
const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** JSON text with its properties. There are few keys, with and without escapes, so that some are duplicates. */
interface Written {
  readonly text: string
  readonly twice: boolean
  readonly depth: number
  readonly dirty: boolean
}
const dirty = (text: string): boolean => text.includes('\0') || !text.isWellFormed()
const spelt = (value: string, escaped: boolean): string =>
  escaped
    ? `"${Array.from({ length: value.length }, (_, n) => `\\u${value.charCodeAt(n).toString(16).padStart(4, '0')}`).join('')}"`
    : JSON.stringify(value)
const key = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', '"', '\\', '鍵', '👩', 'a,{[', '')
const text = fc.oneof(key, fc.string({ unit: 'binary' }), fc.constantFrom('\0', '\ud800', '\udc00', '\\u0000', '\\'))
const space = fc.constantFrom('', ' ', '\n\t\r ')
const { json } = fc.letrec<{ json: Written }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 5, depthSize: 'small' },
    fc.constantFrom('1', '-0.5e+7', 'true', 'null').map((text) => ({ text, twice: false, depth: 0, dirty: false })),
    fc.tuple(text, fc.boolean()).map(([value, escaped]) => {
      return { text: spelt(value, escaped), twice: false, depth: 0, dirty: dirty(value) }
    }),
    fc.tuple(fc.array(tie('json'), { maxLength: 5 }), space).map(([items, gap]) => ({
      text: `[${gap}${items.map((item) => item.text).join(`${gap},${gap}`)}${gap}]`,
      twice: items.some(({ twice }) => twice),
      depth: 1 + Math.max(0, ...items.map(({ depth }) => depth)),
      dirty: items.some(({ dirty }) => dirty),
    })),
    fc.tuple(fc.array(fc.tuple(key, fc.boolean(), tie('json')), { maxLength: 5 }), space).map(([members, gap]) => ({
      text: `{${members.map(([name, escaped, { text }]) => `${gap}${spelt(name, escaped)}${gap}:${gap}${text}${gap}`).join()}}`,
      twice: new Set(members.map(([name]) => name)).size < members.length || members.some(([, , { twice }]) => twice),
      depth: 1 + Math.max(0, ...members.map(([, , { depth }]) => depth)),
      dirty: members.some(([, , { dirty }]) => dirty),
    })),
  ),
}))

t.test('refuses valid JSON only for duplicate keys or invalid text', async (t) => {
  const seen = { clean: 0, twice: 0, dirty: 0 }
  fc.assert(
    fc.property(json, (written) => {
      JSON.parse(written.text)
      const found = refusal(written.text)
      if (!written.twice && !written.dirty) {
        seen.clean++
        return found === 'none'
      }
      const faults = [written.twice && /twice/, written.dirty && /^request.invalid_text$/].filter(
        (fault) => fault instanceof RegExp,
      )
      seen[written.twice ? 'twice' : 'dirty']++
      return faults.some((fault) => fault.test(found))
    }),
    { numRuns: 3000 },
  )
  t.ok(
    Object.values(seen).every((count) => count > 100),
    JSON.stringify(seen),
  )
})

t.test('never throws another error for invalid JSON, which JSON.parse rejects afterwards', async (t) => {
  const sign = fc.constantFrom('"', '\\', '{', '}', '[', ']', ',', ':', '\\u', '\\ud800', 'a', '1', '\0', ' ')
  const broken = fc.oneof(
    fc.array(sign, { maxLength: 40 }).map((signs) => signs.join('')),
    fc.tuple(json, fc.nat(), sign).map(([{ text }, at, put]) => {
      const place = at % (text.length + 1)
      return text.slice(0, place) + put + text.slice(place + 1)
    }),
  )
  let [valid, invalid] = [0, 0]
  fc.assert(
    fc.property(broken, (text) => {
      isJson(text) ? valid++ : invalid++
      refusal(text)
    }),
    { numRuns: 3000 },
  )
  t.ok(valid > 50 && invalid > 1000, `${valid} ${invalid}`)
})

t.test('accepts up to each limit and refuses one more, whatever follows', async (t) => {
  const { depth, values, members } = jsonLimits
  const nested = (levels: number) => `${'['.repeat(levels)}"\\ud83d\\ude00"${']'.repeat(levels)}`
  const many = (count: number) =>
    `[${Array(count - 1)
      .fill('1')
      .join()}]`
  const wide = (count: number) => `{${Array.from({ length: count }, (_, n) => `"k${n}":{}`).join()}}`
  const cases: [name: string, most: string, more: string, reason: RegExp][] = [
    ['depth', nested(depth), nested(depth + 1), /nested more than 32 levels/],
    ['values', many(values), many(values + 1), /more than 2000 values/],
    ['members', wide(members), wide(members + 1), /more than 100 members/],
  ]
  for (const [name, most, more, reason] of cases) {
    t.equal(refusal(most), 'none', name)
    t.match(refusal(more), reason, name)
  }
  t.match(refusal(`{"a":${'['.repeat(500_000)}`), /nested/, 'only open brackets')
  t.match(refusal('"'.repeat(500_000)), /more than 2000 values/, 'only strings')
  t.equal(refusal(wide(members).replaceAll('{}', '""')), 'none', 'a member has two strings')
  t.doesNotThrow(() => scanJson(many(values + 1), values + 1), 'a route can allow more')
  t.match(refusal(nested(500_000)), /nested/)
  t.equal(refusal(Array(5).fill(nested(depth)).join()), 'none', 'depth is not the sum of siblings')
})

t.test('a reason names a key only if that is safe', async (t) => {
  t.match(refusal('{"user_id":1,"user_id":2}'), 'names the key user_id twice')
  t.match(refusal('{"a":1,"\\u0061":2}'), 'names the key a twice')
  for (const key of ['ada@example.com', '鍵', 'x'.repeat(65), '<script>', ''])
    t.equal(refusal(`{"${key}":1,"${key}":2}`), 'request.malformed an object names a key twice', key)
  t.match(refusal('{"\\u005f_proto__":1}'), '__proto__ is not allowed')
  t.equal(refusal('{"a":{"a":1},"b":[{"a":1},{"a":1}]}'), 'none', 'each object has its own keys')
})

t.test('escaped text that cannot be stored is refused everywhere', async (t) => {
  for (const bad of ['\\u0000', 'x\\uD800', '\\udc00y', '\\udc00\\ud800', '\\udBff'])
    for (const text of [`"${bad}"`, `["${bad}"]`, `{"a":{"b":[1,"${bad}"]}}`, `{"${bad}":1}`])
      t.equal(refusal(text), 'request.invalid_text', text)
  for (const good of ['"\\ud83d\\ude00"', '"\\\\u0000"', '"\\\\\\\\ud800"', '"鍵盤 👩‍👩‍👧"', '"\\uffff"'])
    t.equal(refusal(good), 'none', good)
})
