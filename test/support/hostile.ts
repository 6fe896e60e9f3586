import fc from 'fast-check'
import { type Document, type JsonSchema, type Parameter, type Route, resolve } from './openapi.ts'

/** A request as it goes out: nothing is encoded or corrected after this. */
export interface FuzzRequest {
  readonly path: string
  readonly headers: Record<string, string>
  readonly body: string | undefined
}

interface Body {
  readonly type: string | undefined
  readonly text: string
}

const hostileTexts = [
  '',
  ' ',
  '\0',
  'a\0b',
  '\ud800',
  'x\udc00',
  '👩‍👩‍👧‍👦',
  '\u202e',
  '\uffff',
  '__proto__',
  'constructor',
  'null',
  'true',
  'NaN',
  '-1',
  '1.5',
  '1e400',
  '2147483648',
  '9007199254740993',
  '１',
  "' or 1=1; --",
  '%_\\',
  '{}',
  '../..',
  'x'.repeat(3000),
]
/** RFC 3339 allows most of these; PostgreSQL or JavaScript may not. */
const oddTimes = [
  '0000-01-01T00:00:00Z',
  '0001-01-01T00:00:00+23:59',
  '2025-02-30T00:00:00Z',
  '2016-12-31T23:59:60Z',
  '2016-12-31T18:59:60-05:00',
  '9999-12-31T23:59:59.999999999-23:59',
  '2025-01-01t00:00:00z',
  '2025-01-01 00:00:00Z',
  '2025-01-01T00:00:00+15:59',
  '2025-01-01T24:00:00Z',
  '2025-01-01T00:00:00',
  '2025-01-01\u00a000:00:00Z',
  `2025-01-01T00:00:00.${'0'.repeat(150)}Z`,
]
const hostileNumbers = [-1, 0, -0, 1.5, 1e-7, 2 ** 31 - 1, 2 ** 31, 2 ** 53, 2 ** 63, 1e308, -1e308]
/** Cursors of the right form, which a client can make up. */
const cursors = [
  '2025-01-01T00:00:00Z 1',
  '9999-12-31T23:59:59.999Z 2147483647',
  '0000-01-01T00:00:00Z 1',
  '2025-02-30T00:00:00Z 1',
  'x',
].map((text) => Buffer.from(text).toString('base64url'))

/** JSON.parse makes `__proto__` a member, where a literal would set the prototype. */
const polluted: unknown = JSON.parse('{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}')
const nested = (depth: number): unknown => JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`)

const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(...hostileTexts, ...hostileNumbers, null, true, [], {}, polluted, nested(500)),
  fc.string({ unit: 'binary' }),
  fc
    .anything({ withNullPrototype: false, maxDepth: 2 })
    .filter((value) => value !== undefined && JSON.stringify(value) !== undefined),
)

const textOf = ({ format, pattern, minLength = 0, maxLength = 300 }: JsonSchema): fc.Arbitrary<string> => {
  if (format === 'email')
    return fc.oneof(
      fc.emailAddress(),
      fc.integer({ min: 1, max: 9 }).map((n) => `u${n}@example.com`),
    )
  if (format === 'uuid') return fc.uuid()
  if (format === 'date-time') {
    const usual = fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) }).map((date) => date.toISOString())
    return fc.oneof(usual, fc.constantFrom(...oddTimes))
  }
  if (pattern && pattern !== '\\S') return fc.stringMatching(new RegExp(pattern)).filter((text) => text.length <= maxLength)
  const length = { minLength, maxLength: Math.min(maxLength, 300) }
  return fc.oneof(fc.string(length), fc.string({ ...length, unit: 'grapheme' }), fc.constantFrom('MOUSE-1', '鍵盤', ...cursors))
}

/** Values that mostly fit the schema: small ids, so that many name something that exists. */
const valueFor = (document: Document, given: JsonSchema, hostility: number): fc.Arbitrary<unknown> => {
  const schema = resolve(document, given)
  const bad = { weight: hostility, arbitrary: hostileValue }
  const mostly = (arbitrary: fc.Arbitrary<unknown>) => fc.oneof({ weight: 20, arbitrary }, bad)
  if (schema.enum) return mostly(fc.constantFrom(...schema.enum))
  if (schema.anyOf) return mostly(fc.oneof(...schema.anyOf.map((one) => valueFor(document, one, hostility))))
  if (schema.type === 'string') return mostly(textOf(schema))
  if (schema.type === 'boolean') return mostly(fc.boolean())
  if (schema.type === 'null') return mostly(fc.constant(null))
  if (schema.type === 'integer') {
    const { minimum: min = -10, maximum: max = 2 ** 31 } = schema
    const upTo = (most: number) => fc.integer({ min, max: Math.min(max, most) })
    return mostly(
      fc.oneof(
        { weight: 3, arbitrary: upTo(min + 7) },
        { weight: 2, arbitrary: upTo(min + 80) },
        { weight: 1, arbitrary: upTo(max) },
      ),
    )
  }
  if (schema.type === 'array') {
    const { minItems = 0, maxItems = 5 } = schema
    return mostly(
      fc.array(valueFor(document, schema.items ?? {}, hostility), { minLength: minItems, maxLength: Math.min(maxItems, 4) }),
    )
  }
  if (schema.type === 'object') {
    const { properties = {}, required = [] } = schema
    const members = Object.fromEntries(
      Object.entries(properties).map(([name, one]) => [name, valueFor(document, one, hostility)]),
    )
    const whole = fc.record(members, { requiredKeys: [...required] })
    const odd = fc
      .tuple(
        fc.record(members, { requiredKeys: [] }),
        fc.dictionary(fc.constantFrom('extra', '__proto__', 'id', 'a\0'), hostileValue),
      )
      .map(([some, extra]) => Object.fromEntries([...Object.entries(some), ...Object.entries(extra)]))
    return fc.oneof({ weight: 20, arbitrary: whole }, { weight: hostility, arbitrary: odd }, bad)
  }
  return hostileValue
}

const encoded = (value: unknown): string =>
  encodeURIComponent(String(typeof value === 'object' ? JSON.stringify(value) : value).toWellFormed())

/** Text that stands in a URL as it is. */
const rawParts = [
  '%',
  '%zz',
  '%00',
  '%ed%a0%80',
  '%ff',
  '%2e%2e',
  '..',
  '1%2f2',
  '%F0%9F%98%80',
  '-0',
  '+1',
  '01',
  '1e2',
  '0x1',
  'a'.repeat(4000),
]

const parameterOf = (document: Document, { schema }: Parameter, hostility: number): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 20, arbitrary: valueFor(document, schema, hostility).map(encoded) },
    { weight: hostility, arbitrary: fc.constantFrom(...rawParts) },
  )

const queryOf = (document: Document, parameters: readonly Parameter[], hostility: number): fc.Arbitrary<string> => {
  const known = fc.record(Object.fromEntries(parameters.map((one) => [one.name, parameterOf(document, one, hostility)])), {
    requiredKeys: [],
  })
  const odd = fc.constantFrom(
    'limit=1&limit=2',
    'limit',
    '=',
    '&&',
    'extra=1',
    '%zz=1',
    '__proto__=1',
    'limit[]=1',
    'a=%00',
    '?',
    'cursor=',
  )
  const clean = known.map((values) => Object.entries(values).map(([name, value]) => `${name}=${value}`))
  return fc
    .tuple(clean, fc.oneof({ weight: 20, arbitrary: fc.constant([]) }, { weight: hostility, arbitrary: odd.map((one) => [one]) }))
    .map(([pairs, more]) => [...pairs, ...more].join('&'))
}

const brokenBodies = [
  '',
  ' ',
  '{',
  '{"a":1,}',
  'null',
  '0',
  '"text"',
  '[]',
  'undefined',
  '{"a":1e400}',
  '{"user_id":123456789012345678901234567890}',
  '{"name":"\\ud800"}',
  '{"__proto__":{"a":1}}',
  '{"constructor":{"prototype":{}}}',
  '\ufeff{}',
  '{"a":"\u0001"}',
  '['.repeat(100_000),
  '{"a":'.repeat(50_000),
  `{"name":"${'x'.repeat(2_000_000)}"}`,
]
const contentTypes = [
  'text/plain',
  'application/xml',
  'application/json; charset=utf-16',
  'application/problem+json',
  'multipart/form-data',
  'x',
  '/',
]

const bodyOf = (document: Document, { schema, example }: NonNullable<Route['body']>, hostility: number): fc.Arbitrary<Body> => {
  const generated = valueFor(document, schema, hostility)
  const value = example === undefined ? generated : fc.oneof(generated, fc.constant(example))
  const json = (text: string): Body => ({ type: 'application/json', text })
  return fc.oneof(
    { weight: 20, arbitrary: value.map((one) => json(JSON.stringify(one))) },
    { weight: hostility, arbitrary: fc.constantFrom(...brokenBodies).map(json) },
    { weight: hostility, arbitrary: fc.constantFrom(undefined, ...contentTypes).map((type) => ({ type, text: '{}' })) },
  )
}

/** Octets that HTTP lets a header have; the client refuses others itself. */
const headerText = fc.string({
  unit: fc
    .integer({ min: 0x21, max: 0xff })
    .filter((code) => code !== 0x7f)
    .map((code) => String.fromCharCode(code)),
  minLength: 1,
  maxLength: 300,
})
const languages = fc.constantFrom('zh-TW', 'en;q=0.1, zh;q=0.2', ';q=x', '*', 'a'.repeat(2000), 'zh;q=99999999999')

const headersOf = (
  document: Document,
  parameters: readonly Parameter[],
  hostility: number,
): fc.Arbitrary<Record<string, string>> => {
  const declared = parameters.map(({ name, schema }): [string, fc.Arbitrary<string>] => [
    name,
    fc.oneof(
      { weight: 20, arbitrary: textOf(resolve(document, schema)).filter((text) => /^[\x20-\x7e]+$/.test(text)) },
      { weight: hostility, arbitrary: headerText },
    ),
  ])
  const general = { 'accept-language': languages, traceparent: headerText, 'x-request-id': headerText, accept: headerText }
  const all: Record<string, fc.Arbitrary<string>> = { ...Object.fromEntries(declared), ...(hostility > 0 ? general : {}) }
  return fc.record(all, { requiredKeys: [] }).map((headers) => headers as Record<string, string>)
}

/**
 * Requests for a route of the document: by `hostility` (0 to 20) parts in 20 of each value, parameter and body are replaced
 * by something that the schema does not allow, or that a parser may choke on.
 */
export const requestsOf = (
  document: Document,
  { path, parameters, body }: Route,
  hostility: number,
): fc.Arbitrary<FuzzRequest> => {
  const placed = (place: Parameter['in']) => parameters.filter((parameter) => parameter.in === place)
  const paths = fc
    .record(Object.fromEntries(placed('path').map((one) => [one.name, parameterOf(document, one, hostility)])))
    .map((values) => path.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? ''))
  return fc
    .record({
      path: paths,
      query: queryOf(document, placed('query'), hostility),
      headers: headersOf(document, placed('header'), hostility),
      content: body ? bodyOf(document, body, hostility) : fc.constant(undefined),
    })
    .map(({ path, query, headers, content }) => ({
      path: query === '' ? path : `${path}?${query}`,
      headers: { ...headers, ...(content?.type === undefined ? {} : { 'content-type': content.type }) },
      body: content?.text,
    }))
}
