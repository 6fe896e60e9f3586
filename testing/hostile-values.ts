export const hostileTexts = [
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
  '..',
  'x'.repeat(3000),
]

/** RFC 3339 allows most of these; PostgreSQL or JavaScript may not. */
export const oddTimes = [
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

export const hostileNumbers = [-1, 0, -0, 1.5, 1e-7, 2 ** 31 - 1, 2 ** 31, 2 ** 53, 2 ** 63, 1e308, -1e308]

/** Cursors in the right format that a client can invent. */
export const cursors = [
  '2025-01-01T00:00:00Z 1',
  '9999-12-31T23:59:59.999Z 2147483647',
  '0000-01-01T00:00:00Z 1',
  '2025-02-30T00:00:00Z 1',
  'x',
].map((text) => Buffer.from(text).toString('base64url'))

/** JSON.parse creates an own property `__proto__`; a literal would set the prototype. */
export const polluted: unknown = JSON.parse('{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}')

export const nested = (depth: number): unknown => JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`)

/** Text that needs no encoding in a URL. */
export const rawParts = [
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

export const brokenBodies = [
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

export const contentTypes = [
  'text/plain',
  'application/xml',
  'application/json; charset=utf-16',
  'application/problem+json',
  'multipart/form-data',
  'x',
  '/',
]

export const languages = ['zh-TW', 'en;q=0.1, zh;q=0.2', ';q=x', '*', 'a'.repeat(2000), 'zh;q=99999999999']
