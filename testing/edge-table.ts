import type { Test } from 'tap'
import type { Permission } from '../src/platform/permission.ts'
import type { Headers } from './authorization-world.ts'
import { sendExactly } from './gateway.ts'
import { inTurns } from './in-turns.ts'

export interface EdgeTarget {
  readonly url: string
  readonly admin: Headers
  /** A person who is not an administrator. */
  readonly user: Headers
}

type Routes = Readonly<Record<string, Permission>>

/** The headers that helmet sets on data; pages have more. */
const security = [
  'content-security-policy',
  'x-content-type-options',
  'referrer-policy',
  'strict-transport-security',
  'x-frame-options',
]
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const
const json = { 'content-type': 'application/json' }
const noId = '2147483647'

interface Case {
  readonly method: string
  readonly path: string
  readonly headers: Headers
  readonly body?: string
}

/** Each path of the policy with its methods, including HEAD, OPTIONS and those of a path with a parameter that also matches. */
const methodsOf = (routes: Routes): Map<string, string[]> => {
  const known = Object.keys(routes).map((route) => route.split(' ') as [string, string])
  const fits = (pattern: string, path: string) =>
    new RegExp(`^${pattern.replace(/:\w+/g, '[^/]+').replace('*', '.*')}$`).test(path)
  return new Map(
    known.map(([, path]) => {
      const taken = known.filter(([, pattern]) => fits(pattern, path)).map(([method]) => method)
      return [path, [...methods.filter((method) => taken.includes(method === 'HEAD' ? 'GET' : method)), 'OPTIONS']]
    }),
  )
}

const filled = (path: string, id: string): string => path.replace(/:\w+/g, id).replace('*', 'none')

/** Requests to one route with every kind of result: found, refused, malformed. */
const casesOf = (route: string, taken: readonly string[], { admin, user }: EdgeTarget): Case[] => {
  const [method = '', pattern = ''] = route.split(' ')
  const reads = method === 'GET'
  const missing = filled(pattern, noId)
  const sent = (type: string, body: string) => ({ method, path: missing, headers: { ...admin, 'content-type': type }, body })
  return [
    ...(reads
      ? [
          { method, path: filled(pattern, '1'), headers: admin },
          { method: 'HEAD', path: filled(pattern, '1'), headers: admin },
        ]
      : []),
    ...[admin, user, {}]
      .map((headers) => ({ method, path: missing, headers, ...(reads ? {} : { body: '{}' }) }))
      .map((one) => (one.body === undefined ? one : { ...one, headers: { ...one.headers, ...json } })),
    { method, path: missing, headers: { authorization: 'Bearer x' } },
    { method, path: `${missing}?limit=x&nothing=1`, headers: { ...admin, 'accept-language': 'zh-TW' } },
    ...(pattern.includes(':')
      ? [
          { method, path: filled(pattern, 'x'), headers: admin },
          { method, path: filled(pattern, '1'.repeat(300)), headers: admin },
        ]
      : []),
    { method, path: `${missing}%zz`, headers: admin },
    { method, path: missing.replace('/', '/./'), headers: admin },
    ...(reads
      ? []
      : [sent('text/plain', 'x'), sent('application/json', '{'), sent('application/json', ' '.repeat(1024 * 1024 + 1))]),
    ...[...methods.filter((each) => !taken.includes(each)), 'TRACE'].map((other) => ({
      method: other,
      path: missing,
      headers: admin,
    })),
    { method: 'OPTIONS', path: missing, headers: {} },
  ]
}

/**
 * Sends every kind of request to every route of the policy, and checks the headers of the responses.
 * @returns a summary of each request's response, to compare with that of another topology
 */
export const runEdgeTable = async (t: Test, target: EdgeTarget, routes: Routes): Promise<Map<string, unknown>> => {
  const summaries = new Map<string, unknown>()
  const statuses = new Set<number>()
  const allMethods = methodsOf(routes)
  const cases = Object.entries(routes).flatMap(([route, { anonymous }]) => {
    const taken = allMethods.get(route.split(' ')[1] as string) as string[]
    return casesOf(route, taken, target).map((one, n) => ({ ...one, n, anonymous, taken }))
  })
  await inTurns(cases, 8, async ({ n, method, path, headers: sent, body, anonymous, taken }) => {
    const { status, headers, text } = await sendExactly(target.url, path, {
      method,
      headers: sent,
      ...(body === undefined ? {} : { body }),
    })
    const what = `${n} ${method} ${path.slice(0, 80)} (${Object.keys(sent).join()}) ${status}`
    statuses.add(status)
    const missing = [...security, 'x-request-id', 'cache-control'].filter((name) => !(name in headers))
    t.same(missing, [], `${what}: has every header`)
    const refused = status >= 400
    const kept = headers['cache-control'] !== 'no-store'
    if (kept) t.ok(!refused && anonymous, `${what}: ${headers['cache-control']} for public data`)
    if (refused || 'content-language' in headers)
      t.match(
        [headers['content-language'], headers.vary],
        [/^(en|zh-TW)$/, /accept-language/i],
        `${what}: in one of the two languages`,
      )
    if (status === 401) t.match(headers['www-authenticate'], /^Bearer /, what)
    if (status === 405 || method === 'OPTIONS') t.equal(headers.allow, taken.join(', '), `${what}: Allow`)
    if (method !== 'OPTIONS' && !taken.includes(method)) t.equal(status, 405, what)
    if (method === 'OPTIONS') t.equal(status, 204, what)
    const problem = refused && text !== '' ? JSON.parse(text) : {}
    summaries.set(what, { code: problem.code, errors: problem.errors, names: Object.keys(headers).sort(), vary: headers.vary })
  })
  for (const status of [200, 204, 400, 401, 403, 404, 405, 413, 415])
    t.ok(statuses.has(status), `at least one response is ${status}`)
  return summaries
}
