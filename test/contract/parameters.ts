import type { Test } from 'tap'
import { call } from '../../testing/app.ts'
import { sendExactly } from '../../testing/gateway.ts'
import { type Document, type Parameter, type Route, resolve, routesOf } from '../../testing/openapi.ts'
import type { Client } from './target.ts'

/** Some parsers read each of these as a number; we accept only plain decimals. */
const odd = ['0x1', '0X1', '0b1', '0o1', '1e0', '1E0', '01', '00', '+1', '%2B1', '%201', '1%20', '1.0', '1.', '1_0', '-0', '1n']
const wrong = [
  ...odd,
  '',
  '-1',
  '2147483648',
  '9007199254740993',
  '1'.repeat(400),
  'NaN',
  'Infinity',
  '１',
  '٣',
  'true',
  'null',
  '[1]',
  '1,2',
].map((text) => (/[^\x20-\x7e]/.test(text) ? encodeURIComponent(text) : text))

export const parameterSuite = async (t: Test, client: Client): Promise<void> => {
  const document = (await call(`${client.url}/openapi.json`)).body as Document
  const routes = routesOf(document)
  const ask = async (method: string, path: string) => {
    const json = { 'content-type': 'application/json' }
    const body = /^(POST|PUT|PATCH)$/.test(method) ? { body: '{}', headers: { ...client.identity, ...json } } : {}
    const { status, text } = await sendExactly(client.url, path, { method, headers: { ...client.identity }, ...body })
    return { status, body: JSON.parse(text.startsWith('{') ? text : '{}') }
  }
  const placed = (place: Parameter['in']) =>
    routes.flatMap((route) => route.parameters.filter((one) => one.in === place).map((parameter) => ({ route, parameter })))
  const isOf = (type: string) => (one: { parameter: Parameter }) => resolve(document, one.parameter.schema).type === type
  const pathOf = ({ path }: Route, value: string) => path.replace(/\{\w+\}/, () => value)

  await t.test('an id in a path has only one form', async (t) => {
    const ids = placed('path').filter(isOf('integer'))
    t.ok(ids.length > 12, `${ids.length} routes`)
    for (const { route, parameter } of ids) {
      for (const value of wrong.filter((value) => value !== '' && value.length < 100)) {
        // Ids of the audit trail can be larger than other ids.
        if (value === '2147483648' && route.path.includes('/audit/')) continue
        const answer = await ask(route.method, pathOf(route, value))
        t.match(answer, { status: 400, body: { code: 'request.invalid' } }, `${route.method} ${route.path} ${value}`)
        t.equal(answer.body.errors?.[0]?.field, `/params/${parameter.name}`)
      }
    }
    const uuids = placed('path').filter(({ parameter }) => parameter.schema.format === 'uuid')
    t.ok(uuids.length > 0)
    const uuid = '01890000-0000-7000-8000-000000000000'
    for (const { route } of uuids) {
      for (const value of [`urn:uuid:${uuid}`, `{${uuid}}`, uuid.replaceAll('-', ''), `${uuid}0`])
        t.equal((await ask(route.method, pathOf(route, value))).status, 400, value)
      t.equal((await ask(route.method, pathOf(route, uuid))).status, 404)
    }
  })

  await t.test('numbers and booleans in a query have only one form', async (t) => {
    const numbers = placed('query').filter(isOf('integer'))
    const booleans = placed('query').filter(isOf('boolean'))
    t.ok(numbers.length > 8 && booleans.length > 0)
    for (const { route, parameter } of numbers)
      for (const value of wrong) {
        const answer = await ask(route.method, `${route.path}?${parameter.name}=${value}`)
        t.match([answer.status, answer.body.code], [400, 'request.invalid'], `${route.path} ${parameter.name} ${value}`)
      }
    for (const { route, parameter } of booleans) {
      for (const value of ['1', '0', 'TRUE', 'yes', '', 'on', 'null', '%20true'])
        t.equal((await ask(route.method, `${route.path}?${parameter.name}=${value}`)).status, 400, value)
      for (const value of ['true', 'false'])
        t.equal((await ask(route.method, `${route.path}?${parameter.name}=${value}`)).status, 200, value)
    }
    for (const list of ['01', '1,02', '0x1', '1,,2', ',1', '1,', '+1', '1,%202', '1%2C0', '2147483648', '-1', ''])
      t.equal((await ask('GET', `/api/v1/inventory?product_ids=${list}`)).status, 400, list)
    t.equal((await ask('GET', '/api/v1/inventory?product_ids=1,2')).status, 200)
  })

  await t.test('a cursor has only one form', async (t) => {
    const encode = (text: string) => Buffer.from(text).toString('base64url')
    const at = '2025-01-01T00:00:00Z'
    const good = encode(`${at} 16`)
    t.equal((await ask('GET', `/api/v1/users?cursor=${good}`)).status, 200)
    const others = ['0x10', '1e1', '016', '+16', '16 ', '16 17', '1.5', '', '-0'].map((id) => encode(`${at} ${id}`))
    for (const cursor of [...others, `${good}==`, `${good}!`, encode(` ${at} 16`)]) {
      const answer = await ask('GET', `/api/v1/users?cursor=${encodeURIComponent(cursor)}`)
      t.match([answer.status, answer.body.code], [400, 'request.invalid_cursor'], cursor)
    }
  })

  await t.test('a query has no duplicate names and is UTF-8', async (t) => {
    const queries: [query: string, reason: RegExp][] = [
      ['limit=1&limit=2', /names limit twice/],
      ['limit=1&limit=1', /names limit twice/],
      ['limit=1&%6cimit=1', /names limit twice/],
      ['a%40b.example=1&a%40b.example=1', /names a parameter twice/],
      ['search=%ff', /not UTF-8/],
      ['search=%B3%AF', /not UTF-8/],
      ['search=%ED%A0%80', /not UTF-8/],
      ['search=100%', /not UTF-8/],
      ['%ff=1', /not UTF-8/],
      [Buffer.from('search=陳').toString('latin1'), /^/],
      [Array.from({ length: 51 }, (_, n) => `p${n}`).join('&'), /more than 50/],
    ]
    for (const route of routes) {
      for (const [query, reason] of queries) {
        const answer = await ask(route.method, `${pathOf(route, '1')}?${query}`)
        t.match([answer.status, answer.body.code], [400, 'request.malformed'], `${route.method} ${route.path}?${query}`)
        // A refusal by the HTTP parser has no reason.
        t.match(answer.body.reason ?? '', reason)
      }
    }
    t.equal((await ask('GET', `/api/v1/products?&limit=1&&search=${encodeURIComponent('鍵盤 100%')}+&`)).status, 200)
  })
}
