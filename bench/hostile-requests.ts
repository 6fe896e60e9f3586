/** Requests that are built to cost more than they should, within the limits of HTTP and a client's quota. */
export interface HostileRequest {
  readonly name: string
  readonly method?: 'GET' | 'POST'
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

const kibibyte = 1024
const orderLimit = 256 * kibibyte
/** Node.js accepts 16 KiB for the request line and headers together. */
const headerRoom = 14_000

const filled = (bytes: number, part: string, between = ''): string => {
  const count = Math.floor((bytes + between.length) / (part.length + between.length))
  return Array<string>(count).fill(part).join(between)
}
const keys = (count: number, value = '1'): string => Array.from({ length: count }, (_, n) => `"k${n}":${value}`).join()
const order = (name: string, body: string): HostileRequest => ({ name, path: '/api/v1/orders', body })
const signIn = (name: string, body: string): HostileRequest => ({ name, path: '/api/v1/auth/login', body })
const read = (name: string, path: string, headers?: Readonly<Record<string, string>>): HostileRequest => ({
  name,
  method: 'GET',
  path,
  ...(headers ? { headers } : {}),
})
const inOrder = orderLimit - 100

export const hostileRequests: readonly HostileRequest[] = [
  read('(usual) a product', '/api/v1/products/1'),
  read('(usual) the OpenAPI document', '/openapi.json'),
  order('(usual) an order', '{"user_id":1,"items":[{"product_id":1,"quantity":1},{"product_id":2,"quantity":1}]}'),

  signIn('1 MiB of unknown keys', `{${keys(90_000)}}`),
  signIn('16 KiB of unknown keys', `{${keys(1600)}}`),
  signIn('100 unknown keys', `{${keys(100)}}`),
  order('500,000 items', `{"items":[${filled(1_000_000, '1', ',')}]}`),
  order('130,000 items', `{"items":[${filled(inOrder, '1', ',')}]}`),
  order('49,000 items', `{"items":[${filled(98_000, '1', ',')}]}`),
  order('40,000 empty items', `{"items":[${filled(120_000, '{}', ',')}]}`),
  order('100 items with 80 unknown keys', `{"items":[${filled(inOrder, `{${keys(80)}}`, ',')}]}`),
  order(
    '100 items that do not exist',
    `{"user_id":1,"items":[${filled(30_000, '{"product":"none","quantity":1}', ',').slice(0, 3199)}]}`,
  ),
  order(
    '100 names of 200 escapes',
    `{"user_id":1,"items":[${Array(100)
      .fill(`{"product":"${'\\ud83d\\ude00'.repeat(199)}","quantity":1}`)
      .join()}]}`,
  ),

  order('nested arrays', `{"items":${'['.repeat(120_000)}`),
  order('nested objects', filled(inOrder, '{"a":')),
  order('31 levels, repeated', `{"items":[${filled(inOrder, `${'['.repeat(29)}${']'.repeat(29)}`, ',')}]}`),
  signIn('nested with an escape', `{"email":${'['.repeat(8000)}"\\ud83d\\ude00"${']'.repeat(8000)}}`),

  order('one string', `{"items":"${'a'.repeat(inOrder)}"}`),
  order('one name', `{"items":[{"product":"${'a'.repeat(inOrder - 50)}","quantity":1}]}`),
  order('one key', `{"${'k'.repeat(inOrder)}":1}`),
  order('escaped pairs', `{"items":"${filled(inOrder, '\\ud83d\\ude00')}"}`),
  order('lone surrogates at the end', `{"items":"${filled(inOrder, '\\u0041')}\\ud800"}`),
  order('escaped quotes', `{"items":"${filled(inOrder, '\\"')}"}`),
  order('backslashes', `{"items":"${filled(inOrder, '\\\\')}"}`),
  order('escaped strings', `{"items":[${filled(inOrder, '"\\ud83d\\ude00"', ',')}]}`),
  order('spaces', `{"items":[]${' '.repeat(inOrder)}}`),
  order('unterminated quotes', filled(inOrder, '"')),
  order('a duplicate key at the end', `{"items":[${filled(inOrder - 50, '{"a":1}', ',')}],"items":1}`),
  order('a number of 260,000 digits', `{"user_id":${'9'.repeat(inOrder)}}`),
  order('a fraction of 260,000 digits', `{"user_id":0.${'1'.repeat(inOrder)}e5}`),
  order('large numbers', `{"items":[${filled(inOrder, '1e308', ',')}]}`),
  signIn('an address of 16 KiB', `{"email":"${filled(16_000, 'a.')}","password":"x"}`),
  signIn('an address with 16 KiB of @', `{"email":"${filled(16_000, '@')}","password":"x"}`),
  signIn('an address with 16 KiB of dashes', `{"email":"a@${filled(16_000, 'a-')}","password":"x"}`),
  { name: 'a name of 30 KiB of spaces', path: '/api/v1/products', body: `{"sku":"A","name":"${' '.repeat(30_000)}","price":1}` },

  read('Accept-Language of 4,600 languages', '/api/v1/products/0', { 'accept-language': filled(headerRoom, 'zz', ',') }),
  read('Accept-Language of weights', '/api/v1/products/0', { 'accept-language': filled(headerRoom, 'zz;q=0.1', ',') }),
  read('Accept-Language of parameters', '/api/v1/products/0', { 'accept-language': `zh${filled(headerRoom, ';q=1')}` }),
  read('Accept of spaces', '/', { accept: `text/html${' '.repeat(headerRoom)};q=1` }),
  read('Accept of spaces within', '/', { accept: `a${' '.repeat(headerRoom)}b` }),
  read('Accept of ranges', '/', { accept: filled(headerRoom, 'a;', ',') }),
  read('Accept-Encoding of spaces', '/docs/', { 'accept-encoding': `;${' '.repeat(headerRoom)}x` }),
  read('If-None-Match of tags', '/openapi.json', { 'if-none-match': filled(headerRoom, 'W/"a"', ',') }),
  read('a long Cookie', '/api/v1/products/1', { cookie: filled(headerRoom, 'a=b', ';') }),
  read('7,000 query parameters', `/api/v1/products?${filled(headerRoom, 'a', '&')}`),
  read('3,000 different parameters', `/api/v1/products?${Array.from({ length: 2300 }, (_, n) => `p${n}`).join('&')}`),
  read('a long search', `/api/v1/products?search=${filled(headerRoom, '%25')}`),
  read('a search of wildcards', `/api/v1/products?search=${filled(300, '%25')}`),
  read('a long cursor', `/api/v1/products?cursor=${filled(headerRoom, 'a')}`),
  read('a long list of ids', `/api/v1/inventory?product_ids=${filled(headerRoom, '1', ',')}`),
  read('a long path', `/api/v1/products/${filled(headerRoom, 'a')}`),
  read('a long path behind a percent sign', `/api/v1/%41/${filled(headerRoom, 'a')}`),
  read('a path of slashes', `/api/v1${filled(headerRoom, '/')}`),
  read('a path that looks like addresses', `/api/v1/products/${'a'.repeat(headerRoom)}@`),
  read('a URL with a fragment', `http://${'a'.repeat(headerRoom)}#`),
  read('a path of percent signs', `/api/v1/${filled(headerRoom, '%41/')}`),
  read('a long token', '/api/v1/products/1', { authorization: `Bearer ${filled(headerRoom, 'a.')}` }),
  read('spaces before a token', '/api/v1/products/1', { authorization: `Bearer${' '.repeat(headerRoom)}` }),
  read('2,000 addresses before', '/api/v1/products/0', { 'x-forwarded-for': filled(headerRoom, '1.1.1.1', ',') }),
  read('a long traceparent', '/api/v1/products/0', { traceparent: filled(headerRoom, '0-') }),
  { ...order('a long Content-Type', '{}'), headers: { 'content-type': `application/json${filled(headerRoom, ';a="b"')}` } },
  {
    ...order('a Content-Type of spaces', '{}'),
    headers: { 'content-type': `application/json;${' '.repeat(headerRoom)}charset` },
  },
  { ...order('a long Idempotency-Key', '{"items":[]}'), headers: { 'idempotency-key': filled(headerRoom, 'a') } },
]
