import fc from 'fast-check'
import {
  brokenBodies,
  contentTypes,
  cursors,
  hostileNumbers,
  hostileTexts,
  languages,
  nested,
  oddTimes,
  polluted,
  rawParts,
} from './hostile-values.ts'
import { type Document, type JsonSchema, type Parameter, type Route, resolve } from './openapi.ts'

/** A request as it is sent: nothing encodes or corrects it after this. */
export interface FuzzRequest {
  readonly path: string
  readonly headers: Record<string, string>
  readonly body: string | undefined
}

interface Body {
  readonly type: string | undefined
  readonly text: string
}

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

/** Values that mostly fit the schema; ids are small, so that many exist. */
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

/** Bytes that HTTP allows in a header; the client refuses others itself. */
const headerText = fc.string({
  unit: fc
    .integer({ min: 0x21, max: 0xff })
    .filter((code) => code !== 0x7f)
    .map((code) => String.fromCharCode(code)),
  minLength: 1,
  maxLength: 300,
})

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
  const general = {
    'accept-language': fc.constantFrom(...languages),
    traceparent: headerText,
    'x-request-id': headerText,
    accept: headerText,
  }
  const all: Record<string, fc.Arbitrary<string>> = { ...Object.fromEntries(declared), ...(hostility > 0 ? general : {}) }
  return fc.record(all, { requiredKeys: [] }).map((headers) => headers as Record<string, string>)
}

/**
 * Requests for a route of the OpenAPI document. Each value, parameter and body is replaced with a probability of `hostility`/20
 * by something that the schema does not allow or that may break a parser.
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
