import type { Test } from 'tap'
import { type Answer, call } from '../../testing/app.ts'
import { type Document, type JsonSchema, type Route, resolve, routesOf } from '../../testing/openapi.ts'
import type { Client } from './target.ts'

const languages = ['en', 'zh-TW'] as const
const chinese = /\p{Script=Han}/u

/** A request with one error, and what each message about it must contain. */
interface Fault {
  readonly what: string
  readonly path: string
  readonly body?: unknown
  readonly headers?: Record<string, string>
  readonly names: readonly unknown[]
}

/** The enum and const values of a schema and its branches. */
const valuesOf = (document: Document, given: JsonSchema): unknown[] => {
  const schema = resolve(document, given) as JsonSchema & { const?: unknown }
  const own = schema.const === undefined ? (schema.enum ?? []) : [schema.const]
  return [...own, ...(schema.anyOf ?? []).flatMap((branch) => valuesOf(document, branch))]
}

/** Values that a schema rejects, each for a different reason. */
const badValues = (document: Document, given: JsonSchema): unknown[] => {
  const schema = resolve(document, given)
  if (schema.anyOf) return schema.anyOf.flatMap((branch) => badValues(document, branch)).concat([{}])
  const { type, minLength, maxLength, pattern, format, minimum, maximum, minItems, maxItems, items } = schema
  const bad: unknown[] = [{}, [], type === 'boolean' ? 'perhaps' : true]
  if (schema.enum) bad.push('none-of-these')
  if (minLength) bad.push('')
  if (maxLength) bad.push('x'.repeat(maxLength + 1))
  if (pattern || format) bad.push(' ', '!', '1.5e')
  if (minimum !== undefined) bad.push(minimum - 1)
  if (maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER) bad.push(maximum + 1)
  if (minItems) bad.push([])
  if (maxItems) bad.push(Array.from({ length: maxItems + 1 }, () => 1))
  if (items) {
    const { properties = {}, required = [] } = resolve(document, items)
    bad.push(
      [Object.fromEntries(required.map((name) => [name, badValues(document, properties[name] as JsonSchema)[0]]))],
      [{ colour: 1 }],
    )
  }
  return bad
}

const faultsOf = (document: Document, route: Route): Fault[] => {
  const path = route.path.replace(/\{\w*event_id\}/, '01890000-0000-7000-8000-000000000000').replace(/\{\w+\}/g, '2000000000')
  const faults: Fault[] = []
  for (const { in: place, name, schema } of route.parameters) {
    const names = valuesOf(document, schema)
    for (const value of badValues(document, schema)) {
      const text = typeof value === 'object' ? 'x,y z' : String(value)
      if (place === 'query') faults.push({ what: `?${name}`, path: `${path}?${name}=${encodeURIComponent(text)}`, names })
      if (place === 'path' && text !== '')
        faults.push({ what: `{${name}}`, path: route.path.replace(`{${name}}`, encodeURIComponent(text)), names })
      if (place === 'header' && text.trim() !== '') faults.push({ what: name, path, headers: { [name]: text }, body: {}, names })
    }
    if (place === 'query') faults.push({ what: '?colour', path: `${path}?colour=red`, names: ['colour'] })
  }
  if (!route.body) return faults
  const { properties = {} } = resolve(document, route.body.schema)
  for (const body of [undefined, [], {}, { colour: 'red' }]) faults.push({ what: 'body', path, body, names: [] })
  for (const [name, schema] of Object.entries(properties))
    for (const value of badValues(document, schema))
      faults.push({ what: name, path, body: { [name]: value }, names: valuesOf(document, schema) })
  return faults
}

export const validationSuite = async (t: Test, client: Client): Promise<void> => {
  const document: Document = (await call(`${client.url}/openapi.json`)).body
  const problems: string[] = []
  const seen = { en: new Set<string>(), 'zh-TW': new Set<string>() }
  let faults = 0

  const check = (
    language: (typeof languages)[number],
    where: string,
    { what, names }: Fault,
    { status, body, headers }: Answer,
  ) => {
    const wrong = (why: string) => problems.push(`${where} ${what} in ${language}: ${why} ${JSON.stringify(body).slice(0, 300)}`)
    if (status !== 400 || body.code !== 'request.invalid') return
    faults++
    if (headers.get('content-language') !== language) wrong('wrong content-language')
    const fields = new Set<string>()
    for (const text of [body.title, body.detail]) if (chinese.test(text) !== (language === 'zh-TW')) wrong(`"${text}"`)
    for (const { field, message } of body.errors as { field: string; message: string }[]) {
      seen[language].add(message)
      if (!field.startsWith('/')) wrong(`the field is ${field}`)
      if (chinese.test(message) !== (language === 'zh-TW')) wrong(`"${message}"`)
      if (/[\\^$]|anyOf|schema|pattern|property|right form|is not valid/.test(message)) wrong(`"${message}"`)
      if (fields.has(`${field} ${message}`)) wrong('a duplicate message')
      fields.add(`${field} ${message}`)
      if (field.endsWith(`/${what.replace(/\W/g, '')}`))
        for (const name of names) if (!message.includes(String(name))) wrong(`${field} does not name ${name}`)
    }
  }

  const ask = async (route: Route, fault: Fault) => {
    for (const language of languages) {
      const headers = { ...client.identity, ...fault.headers, 'accept-language': language }
      const answer = await call(client.url + fault.path, route.method, fault.body, headers)
      check(language, `${route.method} ${route.path}`, fault, answer)
    }
  }
  for (const route of routesOf(document)) await Promise.all(faultsOf(document, route).map((fault) => ask(route, fault)))
  t.same(problems.slice(0, 10), [], `${problems.length} of ${faults}`)
  t.ok(faults > 400, `${faults} refusals`)
  t.equal(seen.en.size, seen['zh-TW'].size, 'the same number of different messages in both languages')

  await t.test('an unknown key is named, truncated', async (t) => {
    const body = { [`${'k'.repeat(500)}/~`]: 1, 'a/b~c': 1 }
    const { errors } = (await client.post('/products', body, { 'accept-language': 'zh-TW' })).body
    const named = errors.filter(({ message }: { message: string }) => message.startsWith('未知'))
    t.same(named, [
      { field: `/body/${'k'.repeat(64)}…`, message: `未知的欄位「${'k'.repeat(64)}…」` },
      { field: '/body/a~1b~0c', message: '未知的欄位「a/b~c」' },
    ])
  })

  await t.test('a union gets one message', async (t) => {
    const ask = async (language: string) => {
      const { errors } = (await client.get('/orders?status=lost', { 'accept-language': language })).body
      return errors
    }
    t.same(await ask('en'), [
      { field: '/querystring/status', message: 'must be one of: pending, processing, completed, cancelled' },
    ])
    t.same(await ask('zh-TW'), [
      { field: '/querystring/status', message: '必須是下列其中之一：pending、processing、completed、cancelled' },
    ])
  })

  await t.test('messages of rules that are not in a schema', async (t) => {
    const say = async (language: string) => [
      (await client.post('/orders', { user_id: 1, items: [{ quantity: 1 }] }, { 'accept-language': language })).body.errors,
      (await client.get('/inventory?product_ids=9999999999', { 'accept-language': language })).body.errors,
    ]
    t.same(await say('en'), [
      [{ field: '/body/items/0', message: 'must have either product_id or product' }],
      [{ field: '/querystring/product_ids', message: 'each must be at most 2147483647' }],
    ])
    t.same(await say('zh-TW'), [
      [{ field: '/body/items/0', message: '必須提供 product_id 或 product 其中之一' }],
      [{ field: '/querystring/product_ids', message: '每一個都必須小於或等於 2147483647' }],
    ])
  })
}
