import type { Test } from 'tap'
import { call } from '../../testing/app.ts'
import { type Document, type JsonSchema, type Route, resolve, routesOf } from '../../testing/openapi.ts'
import { type Client, isProblem, newProduct, newUser, unique } from './target.ts'

interface Field {
  readonly path: readonly string[]
  readonly schema: JsonSchema
}

/** Every text field of a request body, at any depth. */
const textsOf = (document: Document, given: JsonSchema, path: readonly string[] = []): Field[] => {
  const schema = resolve(document, given)
  const within = [
    ...Object.entries(schema.properties ?? {}).map(([name, one]) => ({ name, one })),
    ...(schema.items ? [{ name: '0', one: schema.items }] : []),
  ]
  return [
    ...(schema.type === 'string' && !schema.enum ? [{ path, schema }] : []),
    ...(schema.anyOf ?? []).flatMap((one) => textsOf(document, one, path)),
    ...within.flatMap(({ name, one }) => textsOf(document, one, [...path, name])),
  ]
}

/** A valid body with every possible text field. */
const bodyOf = (document: Document, given: JsonSchema): unknown => {
  const schema = resolve(document, given)
  if (schema.enum) return schema.enum[0]
  if (schema.anyOf) return bodyOf(document, schema.anyOf[0] as JsonSchema)
  if (schema.type === 'object')
    return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, one]) => [name, bodyOf(document, one)]))
  if (schema.type === 'array') return [bodyOf(document, schema.items ?? {})]
  if (schema.type === 'integer') return schema.minimum ?? 1
  if (schema.type !== 'string') return true
  const samples: Partial<Record<string, string>> = {
    email: `${unique('n')}@example.com`,
    sku: unique('N'),
    code: '123456',
    country: 'TW',
    password: 'a quiet harbour 7',
  }
  return samples[schema['x-normal-form'] ?? ''] ?? (schema.format === 'currency' ? 'TWD' : '0912345678')
}

const withText = (value: unknown, [key, ...rest]: readonly string[], text: string): unknown => {
  if (key === undefined) return text
  const part = (value as Record<string, unknown>)[key]
  const changed = withText(part, rest, text)
  return Array.isArray(value)
    ? value.map((one, n) => (String(n) === key ? changed : one))
    : { ...(value as object), [key]: changed }
}

const unseen = ['\u200b', '\u200d\u200c', '\u3164', '\u2800', '\u00ad', '\ufeff\u2060', ' \u3000\u00a0']
const hidden = [
  'a\u0007b',
  'a\nb',
  'a\rb',
  'a\u0085b',
  'a\u2028b',
  '\u202ecod.exe',
  'a\u2066b\u2069',
  'a\u{e0041}b',
  'a\uffffb',
  '\u001b[31m',
]
const refused: Partial<Record<string, readonly string[]>> = {
  name: [...unseen, ...hidden.map((text) => `x${text}x`)],
  sku: [...unseen, ...hidden, 'a b', 'a\u200db'],
  text: ['a\u0007b', '\u001b[31m', 'a\u2028b', '\u202ecod.exe', 'a\u2066b', 'a\uffffb'],
  password: ['long enough \u0007 it is', 'long enough \n it is'],
  code: ['12345', 'abcdef', '1234567'],
  email: ['ada\u202e@example', 'ada @example.com', '\u200b'],
  country: ['T', 'TWN', '\u202e'],
}

export const normalFormSuite = async (t: Test, client: Client): Promise<void> => {
  const document = (await call(`${client.url}/openapi.json`)).body as Document
  const routes = routesOf(document).flatMap((route) => {
    const { body } = route
    return body ? [{ route, schema: body.schema, texts: textsOf(document, body.schema) }] : []
  })
  const send = ({ method, path }: Route, body: unknown) =>
    call(client.url + path.replace(/\{\w+\}/, '2'), method, body, client.identity ?? {})

  await t.test('every text field of a body has a normal form, a format or a pattern', async (t) => {
    const bare = routes.flatMap(({ route, texts }) =>
      texts
        .filter(({ schema }) => !schema['x-normal-form'] && !schema.format && !/^\^.*\$$/.test(schema.pattern ?? ''))
        .map(({ path }) => `${route.id} ${path.join('/')}`),
    )
    t.same(bare, [])
    t.ok(routes.flatMap(({ texts }) => texts).length > 20)
  })

  await t.test('every text field of every route refuses invisible and control characters', async (t) => {
    let tried = 0
    for (const { route, schema, texts } of routes) {
      for (const { path, schema: field } of texts) {
        for (const text of refused[field['x-normal-form'] ?? ''] ?? []) {
          const answer = await send(route, withText(bodyOf(document, schema), path, text))
          const wanted = { errors: [{ field: `/body/${path.join('/')}` }] }
          const signedOut = answer.status === 401 || answer.status === 403
          if (!signedOut) isProblem(t, answer, 400, 'request.invalid', wanted)
          tried += 1
        }
      }
    }
    t.ok(tried > 100, `${tried}`)
  })

  await t.test('text is stored in its normal form', async (t) => {
    const user = await newUser(client, { name: ' Amélie\u200b 王\u0301 '.normalize('NFD') })
    t.equal(user.name, 'Amélie 王\u0301'.normalize('NFC'))
    const name = '  Ａda 👩‍🚀 '
    t.equal((await client.patch(`/users/${user.id}`, { name })).body.data.name, 'Ａda 👩‍🚀', 'a name keeps full-width letters')
    const local = unique('Ada')
    const wide = `\u3000${local}＠EXAMPLE．com\n`
    const email = `${local}@example.com`
    t.equal((await client.patch(`/users/${user.id}`, { email: wide })).body.data.email, email)
    isProblem(t, await client.post('/users', { name: 'A', email: email.toUpperCase() }), 409, 'user.email_taken')

    const description = ' 第一行\n\t第二行\r\n'
    const product = await newProduct(client, { sku: ` ${unique('ｗide')}é\n`.normalize('NFD'), description })
    t.match(product, { sku: /^wide-\d+-\d+é$/, description })
    t.equal(product.sku, product.sku.normalize('NFKC'))
  })

  await t.test('a phone number is stored as E.164', async (t) => {
    const user = await newUser(client)
    const change = (body: object) => client.patch(`/users/${user.id}`, body)
    for (const phone of [
      '0912 345 678',
      '0912-345-678',
      '（０９１２）３４５６７８',
      '+886 912 345 678',
      '＋８８６－９１２－３４５－６７８',
      '+886 (0) 912345678',
    ]) {
      t.equal((await change({ phone: null })).body.data.phone, null)
      t.match(await change({ phone, phone_country: 'ｔｗ ' }), { status: 200, body: { data: { phone: '+886912345678' } } }, phone)
    }
    t.match(
      (await change({ phone: '+44 20 7946 0958', phone_country: 'TW' })).body.data,
      { phone: '+442079460958' },
      'a number of another country',
    )
    for (const phone of ['0912 345 678', '０９１２３４５６７８', '886912345678'])
      isProblem(t, await change({ phone }), 400, 'user.phone_country_required', {
        detail: /phone_country/,
        field: '/body/phone_country',
      })
    isProblem(t, await change({ phone: '0912345678', phone_country: 'XX' }), 400, 'user.phone_country_unknown')
    for (const phone of ['', 'call me', '+886', '+88691234567890123', '09123', '+886 912 345 678 ext 5', '+886912345678;ext=5'])
      isProblem(t, await change({ phone, phone_country: 'TW' }), 400, 'user.phone_invalid', { field: '/body/phone' })
    t.match((await client.get(`/users/${user.id}`)).body.data, { phone: '+442079460958' }, 'nothing changed')
    const email = `${unique('p')}@example.com`
    const created = await client.post('/users', { name: 'P', email, phone: '02 2345 6789', phone_country: 'TW' })
    t.match(created, { status: 201, body: { data: { phone: '+886223456789' } } })
  })

  await t.test('search ignores case and Unicode normalization form', async (t) => {
    const mark = unique('m')
    const { id } = await newProduct(client, { name: `${mark} ÜBERRASCHUNG Straße ΣΟΦΟΣ Ｗ ﬁn ЖУК １２ ｶﾞ` })
    const count = async (part: string) =>
      (await client.get(`/products?search=${encodeURIComponent(`${mark} ${part}`)}`)).body.data.map(
        (one: { id: number }) => one.id,
      )
    t.same(await count(''), [id])
    const find = async (part: string) => (await client.get(`/products?search=${encodeURIComponent(part)}&limit=100`)).body.data
    for (const part of [
      'überraschung',
      'Überraschung',
      'u\u0308berraschung',
      'STRASSE',
      'straße',
      'σοφοσ',
      'σοφος',
      'w ﬁ',
      'Ｗ fi',
      'жук',
      '12 ガ',
      '１２\u3000ｶﾞ',
      'über\u00adraschung',
    ])
      t.ok(
        (await find(part)).some((one: { id: number }) => one.id === id),
        part,
      )
    t.notOk(
      (await find('uberraschung')).some((one: { id: number }) => one.id === id),
      'a letter without its accent does not match',
    )
  })

  await t.test('an sku is unique across its Unicode forms, and an order finds it by each', async (t) => {
    const mark = unique('ＳＫＵ')
    const made = await newProduct(client, { sku: `${mark}-é`.normalize('NFC'), name: `${mark} Crème` }, 10)
    for (const sku of [`${mark}-é`.normalize('NFD'), made.sku, made.sku.normalize('NFD')])
      isProblem(t, await client.post('/products', { sku, name: 'N', price: 1 }), 409, 'product.sku_taken')
    const other = await newProduct(client)
    isProblem(t, await client.patch(`/products/${other.id}`, { sku: `${mark}-é`.normalize('NFD') }), 409, 'product.sku_taken')
    for (const product of [`${mark}-é`.normalize('NFD'), ` ${made.sku}`, made.name, made.name.normalize('NFD')]) {
      const order = await client.post('/orders', { user_id: 3, items: [{ product, quantity: 1 }] })
      t.match(order, { status: 201, body: { data: { items: [{ product_id: made.id }] } } }, product)
    }
  })
}
