/** One request as raw bytes. `$ADMIN` is replaced by an administrator's `Authorization` header. */
export interface RawRequest {
  readonly name: string
  readonly bytes: string
}

const crlf = '\r\n'
const admin = '$ADMIN'
const json = 'Content-Type: application/json'

interface Parts {
  readonly version?: string
  /** Complete header lines; by default, the usual Host. */
  readonly host?: readonly string[]
  readonly headers?: readonly string[]
  readonly body?: string
  /** Replaces the correct Content-Length. */
  readonly length?: string
}

const request = (
  line: string,
  { version = 'HTTP/1.1', host = ['Host: shop.example'], headers = [], body, length }: Parts = {},
): RawRequest => {
  const sized = body === undefined && length === undefined ? [] : [`Content-Length: ${length ?? Buffer.byteLength(body ?? '')}`]
  const head = [`${line} ${version}`.trimEnd(), ...host, 'Connection: close', ...headers, ...sized]
  const note = [
    version === 'HTTP/1.1' ? '' : version,
    ...(host.length === 1 ? [] : [`${host.length} hosts`]),
    ...headers,
    body ?? '',
  ]
  const shown = [line, ...note].filter((part) => part !== '').join(' | ')
  return { name: shown.length > 160 ? `${shown.slice(0, 160)}…` : shown, bytes: `${[...head, '', ''].join(crlf)}${body ?? ''}` }
}

const many = (lines: readonly string[], parts?: Parts): RawRequest[] => lines.map((line) => request(line, parts))
const get = (targets: readonly string[], parts?: Parts) =>
  many(
    targets.map((target) => `GET ${target}`),
    parts,
  )

const products = '/api/v1/products'
const login = '/api/v1/auth/login'

const forms = [
  `http://shop.example${products}`,
  `HTTP://shop.example${products}/1`,
  `https://shop.example${products}`,
  `http://elsewhere.example:8080${products}/1`,
  `http://user:secret@shop.example${products}/1`,
  `http://[::1]:5000${products}/1`,
  'http://shop.example/api/products',
  'http://shop.example/api/products?limit=1',
  'http://shop.example/health',
  'http://shop.example/internal/user/getUser',
  'http://shop.example/api/v1/none',
  'http://shop.example',
  'http://shop.example?limit=1',
  'http://shop.example#x',
  `http://shop.example#${products}`,
  `http://${products}`,
  `http:/${products}`,
  `http:${products}`,
  `ftp://shop.example${products}`,
  `shop.example${products}`,
  'shop.example:80',
  '*',
  'api/v1/products',
  'products',
  '?limit=1',
  '#x',
]

const spellings = [
  ...[
    '/./',
    '/../',
    '/%2e/',
    '/%2E%2e/',
    '/.%2e/',
    '/;/',
    '//',
    '/%2f',
    '/%2F/',
    '\\',
    '/%5c',
    '/..;/',
    '/...',
    '/%252e%252e/',
  ].flatMap((part) => [`${products}${part}1`, `/api/v1${part}products/1`, `/api${part}products`]),
  ...[`${products}/.`, `${products}/..`, `${products}/%2e`, `${products}/%2e%2e`, `${products}/1/.`, `${products}/1/..`],
  ...[`${products}/..%5c..`, `${products}/..%2f..`, `${products}/..%2f..%2finternal%2fuser%2fgetUser`, `${products}/1%2f..%2f2`],
  ...[
    `/./${products.slice(1)}`,
    `/../${products.slice(1)}`,
    `/health/..${products}`,
    '/health/.',
    '/docs/../health',
    '/docs/..%2fhealth',
  ],
  ...[
    '/',
    '//',
    '///',
    '/.',
    '/..',
    '/api',
    '/api/',
    '/api/v1',
    '/api/v1/',
    '/api//v1/products',
    '/api/v2/products',
    '/api/v01/products',
  ],
  ...[
    '/api/v1products',
    '/api/v1.0/products',
    '/api/v10/products',
    '/api/products',
    '/api/products/',
    '/api/products/1',
    '/api/?x=1',
  ],
  ...[
    `${products}/`,
    `${products}/1/`,
    `${products}//`,
    `${products}/1//`,
    `/${products}`,
    `${products}//1`,
    '/health/',
    '/docs/',
    '/openapi.json/',
  ],
  ...['/API/v1/products', '/api/V1/products', '/api/v1/Products', '/api/v1/PRODUCTS/1', '/Health', '/OPENAPI.json'],
  ...[
    '/%61pi/v1/products',
    '/api/%761/products',
    '/api/v1/%70roducts',
    '/api/v1/%50roducts',
    '/%61pi/products',
    '/api/v1%2fproducts',
    '/api%2fv1/products',
  ],
  ...[
    `${products}/%31`,
    `${products}/1%20`,
    `${products}/%201`,
    `${products}/+1`,
    `${products}/01`,
    `${products}/0x1`,
    `${products}/1e0`,
    `${products}/-1`,
  ],
  ...[
    `${products}/x`,
    `${products}/1.0`,
    `${products}/2147483648`,
    `${products}/99999999999999999999`,
    `${products}/1;x=1`,
    `${products};x=1`,
  ],
  ...[
    `${products}/%`,
    `${products}/%zz`,
    `${products}/%c3%28`,
    `${products}/%ff`,
    `${products}/%00`,
    `${products}/%0d%0a`,
    `${products}/%ed%a0%80`,
    '/%',
    '/api/v1/%zz',
  ],
  ...[
    `${products}/${'1'.repeat(100)}`,
    `${products}/${'1'.repeat(101)}`,
    `${products}/${'a'.repeat(5000)}`,
    `/api/v1/orders/${'1'.repeat(200)}`,
    `/${'a'.repeat(9000)}`,
  ],
  ...[
    `${products}/${'%31'.repeat(60)}`,
    `${products}/${'%2f'.repeat(60)}`,
    `/api/v1/${'a/'.repeat(900)}`,
    `/api/v1/notifications/${'d'.repeat(150)}`,
  ],
  ...[
    `${products}/[1]`,
    `${products}/{1}`,
    `${products}/|`,
    `${products}/"1"`,
    `${products}/<1>`,
    `${products}/^`,
    `${products}/\`1\``,
  ],
  ...['/api/v1/__proto__', '/api/v1/products/constructor', '/api/v1/products/:id', '/api/v1/products/*', '/*', '/:id', '/docs/*'],
  ...[
    '/internal/user/getUser',
    '/internal',
    '/metrics',
    '/favicon.ico',
    '/robots.txt',
    '/.well-known/jwks.json',
    '/.well-known/',
    '/.env',
  ],
]

const queries = [
  ...[
    '?',
    '?limit=1',
    '?limit=1&limit=2',
    '?limit=',
    '?limit=0',
    '?limit=101',
    '?limit=1e0',
    '?limit=0x1',
    '?limit=%31',
    '?limit=1%00',
    '?limit=+1',
  ],
  ...[
    '?limit=1#x',
    '#x',
    '?limit=1?limit=2',
    '??limit=1',
    '?&limit=1&',
    '?limit=1;active=true',
    '?limit[]=1',
    '?limit[a]=1',
    '?__proto__=1',
    '?x=1',
  ],
  ...[
    '?search=%zz',
    '?search=%',
    '?search=%ff',
    '?search=%ed%a0%80',
    '?search=a+b',
    '?search=a%2Bb',
    '?search=a%26b',
    '?search=',
    '?search',
    '?%73earch=a',
  ],
  ...[
    '?active=TRUE',
    '?active=1',
    '?active=true&active=false',
    '?cursor=x',
    `?cursor=${'a'.repeat(300)}`,
    `?search=${'a'.repeat(8000)}`,
    '?search=/../',
    '?a=http://x/',
  ],
].map((query) => products + query)

const methods = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'QUERY',
  'PROPFIND',
  'PURGE',
  'get',
  'FOO',
  'G ET',
]
const paths = [
  products,
  `${products}/1`,
  '/api/v1/orders',
  '/api/v1/orders/1/cancel',
  login,
  '/health',
  '/openapi.json',
  '/.well-known/jwks.json',
  '/none',
]

const oddHosts: Parts[] = [
  { host: [] },
  { host: [], version: 'HTTP/1.0' },
  { version: 'HTTP/1.0' },
  { host: ['Host: a.example', 'Host: b.example'] },
  { host: ['Host: a.example', 'Host: a.example'] },
  { host: ['Host:'] },
  { host: ['Host: a b'] },
  { host: ['Host: a/b'] },
  { host: ['Host : a'] },
  { version: 'HTTP/1.2' },
  { version: 'HTTP/2.0' },
  { version: 'HTTP/0.9' },
  { version: '' },
  { version: 'HTTP/1.1 x' },
  { version: 'http/1.1' },
]

const oddHeaders = [
  ...[
    'Expect: 100-continue',
    'Expect: 200-ok',
    'Expect:',
    'Upgrade: websocket',
    'Upgrade: h2c',
    'TE: trailers',
    'Keep-Alive: timeout=5',
  ],
  ...[
    'X Y: 1',
    'X:Y',
    ': 1',
    'X-Long: '.padEnd(20_000, 'a'),
    'X-Bell: \x07',
    'X-High: \xff',
    ' folded: 1',
    'X-Ok: 1\r\n folded',
    'X-Lf: 1\nX-B: 2',
  ],
  ...[
    'Accept: text/html',
    'Accept: application/xml',
    'Accept-Encoding: br',
    'Range: bytes=0-1',
    'If-None-Match: *',
    'If-None-Match: "x"',
    'If-Modified-Since: x',
  ],
  ...[
    'Accept-Language: zh-TW',
    'Accept-Language: fr;q=1, zh;q=0.5',
    'Origin: https://shop.example',
    'Origin: https://evil.example',
    'Origin: null',
  ],
  ...[
    'Authorization: Bearer x.y.z',
    'Authorization: Basic eDp5',
    'Authorization: Bearer',
    'Cookie: a=1',
    'X-Forwarded-For: 1.2.3.4',
    'X-Forwarded-Host: evil.example',
  ],
  ...[
    'X-HTTP-Method-Override: DELETE',
    'X-Original-URL: /internal/user/getUser',
    'X-Rewrite-URL: /health',
    'X-Request-Id: 12345678',
    'X-Request-Id: x',
    'Traceparent: x',
  ],
  ...[
    'Content-Type: text/plain',
    'Content-Type: application/json',
    'Content-Length: 0',
    'Content-Length: x',
    'Content-Length: -1',
    'Transfer-Encoding: identity',
  ],
].map((header) => [header])

const bodies: RawRequest[] = [
  ...[
    '{}',
    '{"email":',
    '[]',
    'null',
    '1',
    '"x"',
    '',
    '{"email":"a@example.com","password":"x"}',
    '{"__proto__":{}}',
    '{"constructor":{"prototype":1}}',
  ].map((body) => request(`POST ${login}`, { headers: [json], body })),
  ...[
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/json; charset=utf-8',
    'application/json;charset=big5',
    'APPLICATION/JSON',
    'application/json; x',
    'application/merge-patch+json',
    'application/xml',
    'json',
    '',
    '*/*',
    'application/json, text/plain',
  ].map((type) => request(`POST ${login}`, { headers: [`Content-Type: ${type}`], body: '{}' })),
  request(`POST ${login}`),
  request(`POST ${login}`, { body: '{}' }),
  request(`POST ${login}`, { headers: [json], length: '0' }),
  request(`POST ${login}`, { headers: [json, 'Content-Encoding: gzip'], body: '{}' }),
  request(`POST ${login}`, { headers: [json, 'Transfer-Encoding: chunked'], body: '2\r\n{}\r\n0\r\n\r\n', length: '9' }),
  request(`POST ${login}`, { headers: [json, 'Content-Length: 2'], body: '{}', length: '3' }),
  request(`POST ${login}`, { headers: [json], body: '{}', length: '+2' }),
  ...[
    '2\r\n{}\r\n0\r\n\r\n',
    '2;x=1\r\n{}\r\n0\r\nX-Sum: 1\r\n\r\n',
    'zz\r\n{}\r\n0\r\n\r\n',
    '0\r\n\r\n',
    '1\r\n{\r\n1\r\n}\r\n0\r\n\r\n',
  ].map((chunks) => ({
    name: `POST ${login} chunked ${JSON.stringify(chunks)}`,
    bytes: `POST ${login} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${json}\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`,
  })),
  ...['gzip', 'gzip, chunked', 'chunked, chunked', 'xchunked', 'CHUNKED'].map((coding) => ({
    name: `POST ${login} in ${coding}`,
    bytes: `POST ${login} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${json}\r\nTransfer-Encoding: ${coding}\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
  })),
  request(`POST ${login}`, { headers: [json, 'Expect: 100-continue'], body: '{}' }),
  request(`POST ${login}`, { headers: [json], body: `{"email":"${'a'.repeat(1024 * 1024)}"}` }),
  request(`GET ${products}`, { headers: [json], body: '{"a":1}' }),
  request(`GET ${products}`, { headers: ['Content-Type: text/plain'], body: 'x' }),
  request(`HEAD ${products}`, { headers: [json], body: '{}' }),
  request(`DELETE ${products}/2147483647`, { headers: [admin, json], body: '{"a":1}' }),
  request(`DELETE ${products}/2147483647`, { headers: [admin, 'Content-Type: text/plain'], body: 'x' }),
  request(`DELETE ${products}/2147483647`, { headers: [admin] }),
  request(`OPTIONS ${products}`, { headers: ['Content-Type: text/plain'], body: 'x' }),
  request(`PUT ${products}`, { headers: ['Content-Type: text/plain'], body: 'x' }),
  request(`POST ${products}`, { headers: ['Content-Type: text/plain'], body: 'x' }),
  request(`POST ${products}`, { headers: [admin, json], body: '{"sku":"no name"}' }),
  request(`PATCH ${products}/2147483647`, { headers: [admin, json], body: '{"price":1}' }),
  request(`PUT /api/v1/inventory/x`, { headers: [admin, json], body: '{"available":1}' }),
  request(`POST /api/v1/orders`, { headers: [admin, json, 'Idempotency-Key: a b'], body: '{"user_id":3,"items":[]}' }),
]

const preflight = ['Origin: https://shop.example', 'Access-Control-Request-Method: PUT']

/** Request lines, headers and bodies that a router, a parser and a proxy may interpret differently. */
export const rawRequests: readonly RawRequest[] = [
  ...get(forms),
  ...many(forms.map((form) => `OPTIONS ${form}`)),
  ...get(spellings),
  ...get(
    ['/./x', '/../x'].flatMap((tail) => [`/api/v1/users/1${tail}`, `/api/v1/orders/1${tail}`]),
    { headers: [admin] },
  ),
  ...get(
    [`/api/v1/users/%2e%2e`, '/api/v1/users/..%2f1', '/api/v1/orders/1%2fcancel', '/api/v1/users/1%23', '/api/v1/users/%31'],
    { headers: [admin] },
  ),
  ...get(queries),
  ...paths.flatMap((path) => many(methods.map((method) => `${method} ${path}`))),
  ...['CONNECT shop.example:80', `CONNECT ${products}`, 'CONNECT *', 'PRI * HTTP/2.0', 'no HTTP at all', ''].map((line) =>
    request(line),
  ),
  ...oddHosts.flatMap((parts) => [request(`GET ${products}/1`, parts), request('GET /none', parts)]),
  ...oddHeaders.map((headers) => request(`GET ${products}/1`, { headers })),
  ...oddHeaders.slice(0, 8).map((headers) => request('GET /health/live', { headers })),
  ...[products, '/none', '/api/v1/none', '*'].map((path) => request(`OPTIONS ${path}`, { headers: preflight })),
  ...bodies,
]
