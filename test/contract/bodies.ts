import { gzipSync } from 'node:zlib'
import type { Test } from 'tap'
import { jsonLimits } from '../../src/platform/http/json-scan.ts'
import { call } from '../../testing/app.ts'
import { sendExactly } from '../../testing/gateway.ts'
import { type Document, type JsonSchema, resolve, routesOf } from '../../testing/openapi.ts'
import type { Client } from './target.ts'

type Body = string | Buffer
const json = { 'content-type': 'application/json' }
const big5 = Buffer.from('\xb3\xaf\xa4p\xa9\xfa', 'latin1')
const login = '{"email":"nobody@example.com","password":"x"}'

type Refused = [name: string, body: Body, headers: Record<string, string>, status: number, code: string, reason?: RegExp]

/** Bodies that every route refuses, with the expected response. */
const refused: readonly Refused[] = [
  ['deep', `{"email":${'['.repeat(5000)}"\\ud83d\\ude00"${']'.repeat(5000)}}`, json, 400, 'request.malformed', /32 levels/],
  ['open', '['.repeat(10_000), json, 400, 'request.malformed', /32 levels/],
  ['many keys', `{${Array.from({ length: 1500 }, (_, n) => `"k${n}":1`)}}`, json, 400, 'request.malformed', /100 members/],
  ['many values', `{"a":[${Array(2000).fill(1)}]}`, json, 400, 'request.malformed', /2000 values/],
  [
    'a duplicate key',
    '{"email":"a@example.com","email":"b@example.com"}',
    json,
    400,
    'request.malformed',
    /names the key email twice/,
  ],
  ['a duplicate key, escaped', '{"a":1,"\\u0061":2}', json, 400, 'request.malformed', /names the key a twice/],
  ['a duplicate key, nested', '{"items":[{"price":1,"price":1}]}', json, 400, 'request.malformed', /names the key price twice/],
  [
    'a duplicate key with personal data',
    '{"a@b.example":1,"a@b.example":2}',
    json,
    400,
    'request.malformed',
    /names a key twice/,
  ],
  ['Big5', Buffer.concat([Buffer.from('{"name":"'), big5, Buffer.from('"}')]), json, 400, 'request.malformed', /not UTF-8/],
  ['UTF-16', Buffer.from('{"name":"x"}', 'utf16le'), json, 400, 'request.malformed', /not JSON/],
  ['an overlong UTF-8 sequence', Buffer.from('{"a":"\xc0\xae"}', 'latin1'), json, 400, 'request.malformed', /not UTF-8/],
  ['truncated JSON', '{"name":', json, 400, 'request.malformed', /not JSON/],
  ['a space', ' ', json, 400, 'request.malformed', /not JSON/],
  ['__proto__', '{"__proto__":{"a":1}}', json, 400, 'request.malformed', /__proto__/],
  ['NUL', '{"name":"a\\u0000"}', json, 400, 'request.invalid_text'],
  ['gzip', gzipSync(login), { ...json, 'content-encoding': 'gzip' }, 415, 'request.unsupported_encoding'],
  ['br', login, { ...json, 'content-encoding': 'br' }, 415, 'request.unsupported_encoding'],
  ['two encodings', login, { ...json, 'content-encoding': 'identity, gzip' }, 415, 'request.unsupported_encoding'],
  ...['big5', 'utf-16', '"iso-8859-1"', 'utf-8x', '', 'utf-8; charset=big5'].map(
    (charset): Refused => [
      charset,
      login,
      { 'content-type': `application/json; charset=${charset}` },
      415,
      'request.unsupported_charset',
    ],
  ),
  ...['text/json', 'application/merge-patch+json', 'application/jsonx', 'application/x-www-form-urlencoded', 'x', ''].map(
    (type): Refused => [`type ${type}`, login, type ? { 'content-type': type } : {}, 415, 'request.unsupported_media_type'],
  ),
]

/** Bytes of the longest body that a schema allows, without spaces and with every character escaped. */
const longest = (document: Document, given: JsonSchema): number => {
  const schema = resolve(document, given)
  if (schema.anyOf) return Math.max(...schema.anyOf.map((one) => longest(document, one)))
  if (schema.properties)
    return Object.entries(schema.properties).reduce((sum, [name, one]) => sum + name.length + 4 + longest(document, one), 2)
  if (schema.items) return 2 + (schema.maxItems ?? Number.NaN) * (1 + longest(document, schema.items))
  // A character outside the BMP takes two escapes; texts without maxLength have a pattern or an enum.
  return schema.type === 'string' ? 2 + 12 * (schema.maxLength ?? 20) : 20
}

/** Number of values in the largest JSON that a schema allows, including the objects and arrays. */
const mostValues = (document: Document, given: JsonSchema): number => {
  const schema = resolve(document, given)
  if (schema.anyOf) return Math.max(...schema.anyOf.map((one) => mostValues(document, one)))
  if (schema.properties) return Object.values(schema.properties).reduce((sum, one) => sum + mostValues(document, one), 1)
  return schema.items ? 1 + (schema.maxItems ?? Number.NaN) * mostValues(document, schema.items) : 1
}

export const bodySuite = async (t: Test, client: Client): Promise<void> => {
  const document = (await call(`${client.url}/openapi.json`)).body as Document
  const send = async (method: string, path: string, body: Body | undefined, headers: Record<string, string>) => {
    const options = { method, headers: { ...client.identity, ...headers }, ...(body === undefined ? {} : { body }) }
    const { status, text } = await sendExactly(client.url, path, options)
    return { status, body: JSON.parse(text) }
  }
  const withBody = routesOf(document)
    .filter(({ body }) => body !== undefined)
    .map((route) => ({ ...route, path: route.path.replaceAll(/\{\w+\}/g, '1') }))
  const limitOf = ({ id }: { id: string }): number => {
    const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods))
    return (operations.find(({ operationId }) => operationId === id) as unknown as { 'x-body-limit': number })['x-body-limit']
  }

  await t.test('every route refuses malformed bodies', async (t) => {
    for (const { method, path, id } of withBody) {
      for (const [name, body, headers, status, code, reason] of refused) {
        const answer = await send(method, path, body, headers)
        t.match([answer.status, answer.body.code], [status, code], `${id}: ${name}`)
        if (!reason) continue
        t.match(answer.body.reason, reason, `${id}: ${name}`)
        t.equal(answer.body.detail, `The request cannot be read: ${answer.body.reason}.`, `${id}: ${name}`)
        const { body: inChinese } = await send(method, path, body, { ...headers, 'accept-language': 'zh-TW' })
        t.match(inChinese, { reason: /\p{Script=Han}/u, detail: `無法解讀請求：${inChinese.reason}。` }, `${id}: ${name}`)
      }
    }
  })

  await t.test(
    'the body limit of each route is documented, allows every body that fits the schema, and is enforced',
    async (t) => {
      t.ok(withBody.length > 12)
      for (const route of withBody) {
        const { id, method, path, body } = route
        const limit = limitOf(route)
        const needed = longest(document, body?.schema as JsonSchema)
        const values = mostValues(document, body?.schema as JsonSchema)
        t.ok(values <= jsonLimits.values, `${id}: ${values} values`)
        t.ok(limit >= needed && limit < 100_000 + 2 * needed, `${id}: ${needed} of ${limit}`)
        const sized = (bytes: number) => `{"no_such_field":1${' '.repeat(bytes - 19)}}`
        t.match(
          await send(method, path, sized(limit), json),
          { status: 400, body: { code: 'request.invalid' } },
          `${id}: ${limit}`,
        )
        for (const headers of [json, { ...json, 'transfer-encoding': 'chunked' }])
          t.match(await send(method, path, sized(limit + 1), headers), { status: 413, body: { code: 'request.too_large' } }, id)
      }
    },
  )

  await t.test('the response names only a few errors, however many there are', async (t) => {
    const keys = Array.from({ length: 100 }, (_, n) => `"unknown_${n}":1`)
    const items = (count: number, item: string) => `{"items":[${Array(count).fill(item)}]}`
    const bodies = [`{${keys}}`, items(1900, '1'), items(15, `{${keys}}`), items(20, '{"quantity":0,"x":1,"y":1}')]
    for (const body of bodies) {
      const answer = await send('POST', '/api/v1/orders', body, json)
      t.match(answer, { status: 400, body: { code: 'request.invalid' } })
      t.ok(answer.body.errors.length >= 1 && answer.body.errors.length <= 20, `${answer.body.errors.length}`)
      t.ok(JSON.stringify(answer.body).length < 4000)
    }
    const two = await send('POST', '/api/v1/auth/login', '{"mail":"x"}', json)
    t.same(two.body.errors.map(({ field }: { field: string }) => field).sort(), ['/body/email', '/body/mail', '/body/password'])
    const long = await send('POST', '/api/v1/orders', `{"${'k'.repeat(200_000)}":1}`, json)
    t.equal(long.status, 400)
    t.ok(JSON.stringify(long.body).length < 2000, 'a long key is truncated in the response')
    const slashes = await send('POST', '/api/v1/auth/login', `{"a/b~c":1,${login.slice(1)}`, json)
    t.match(slashes.body.errors, [{ field: '/body/a~1b~0c' }], 'a JSON pointer')
  })

  await t.test('other accepted forms of a body', async (t) => {
    const forms: [string, Body, Record<string, string>][] = [
      ['a byte order mark', `\ufeff${login}`, json],
      ['quotes', login, { 'content-type': 'Application/JSON;Charset="UTF-8"' }],
      ['utf8', login, { 'content-type': 'application/json ; charset=utf8 ; x=y' }],
      ['identity', login, { ...json, 'content-encoding': 'Identity' }],
      ['chunks', login, { ...json, 'transfer-encoding': 'chunked' }],
    ]
    for (const [name, body, headers] of forms) {
      const answer = await send('POST', '/api/v1/auth/login', body, headers)
      t.match(answer, { status: 401, body: { code: 'auth.invalid_credentials' } }, name)
    }
  })

  await t.test('an empty body counts as no body, with any content type', async (t) => {
    const types = ['application/x-www-form-urlencoded', 'application/json', 'text/plain', 'application/json; charset=big5', '']
    for (const type of types) {
      const headers: Record<string, string> = type ? { 'content-type': type } : {}
      const gzip = { ...headers, 'content-encoding': 'gzip' }
      const none = { status: 404, body: { code: 'order.not_found' } }
      for (const more of [headers, gzip, { ...headers, 'transfer-encoding': 'chunked' }]) {
        t.match(await send('POST', '/api/v1/orders/2000000000/cancel', '', more), none, type)
        t.match(await send('POST', '/api/v1/orders', '', more), { status: 400, body: { code: 'request.invalid' } }, type)
      }
      t.match(await send('DELETE', '/api/v1/users/2000000000', '', headers), { status: 404, body: { code: 'user.not_found' } })
    }
    t.match(await send('POST', '/nothing', 'a=1', {}), { status: 404, body: { code: 'route.not_found' } }, 'no such route')
    t.match(await send('POST', '/api/v1/orders/1/none', '{', json), { status: 404, body: { code: 'route.not_found' } })
  })
}
