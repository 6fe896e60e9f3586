import { decodeJwt } from 'jose'
import type { Test } from 'tap'
import type { AuditEntry } from '../src/platform/audit/entry.ts'
import type { Role } from '../src/platform/permission.ts'
import { policy } from '../src/policy.ts'
import { type Answer, call } from './app.ts'
import { expectations, type Outcome } from './authorization-expectations.ts'
import { type Headers, persons, type World } from './authorization-world.ts'
import { eventually } from './eventually.ts'

interface Attempt {
  /** The action, as the policy names it. */
  readonly route: string
  readonly path: string
  readonly body?: unknown
  readonly headers: Headers
  readonly status: number
  /** Undefined if the policy refuses: then the process that received the request records it. */
  readonly refusedBy?: string
  /** The token is invalid, or the route ignores tokens. */
  readonly anonymous?: boolean
}

const outcomeOfStatus = (outcome: Outcome): outcome is 401 | 403 | 404 => outcome === 401 || outcome === 403 || outcome === 404

const moduleOf = (route: string): string => {
  const [, name = ''] = /\/api\/v1\/([a-z]+?)s?(?:\/|$)/.exec(route) ?? []
  return { auth: 'user', inventory: 'order' }[name] ?? name
}

/** A 404 means that the resource belongs to someone else, for a person with access only to their own. */
const ofAnother = (route: string, person: string): boolean =>
  person !== 'nobody' &&
  policy.routes[route]?.own.includes(person === 'owner' || person === 'other' ? 'user' : (person as Role)) === true

/** All cases in the table of expectations that are refused for some caller. */
const byThePolicy = async function* (world: World): AsyncGenerator<Attempt> {
  for (const [route, { request, outcomes, tokenIgnored }] of Object.entries(expectations)) {
    for (const person of persons) {
      const outcome = outcomes[person]
      if (!outcomeOfStatus(outcome) || (outcome === 404 && !ofAnother(route, person))) continue
      const { path, body, owner } = await request(world)
      const headers = (person === 'owner' && owner) || world.headers[person]
      const found = { route, path, body, headers, status: outcome, anonymous: person === 'nobody' }
      // Only the order service knows for which user an order is.
      const inside = outcome === 404 || (route === 'POST /api/v1/orders' && outcome === 403)
      yield inside ? { ...found, refusedBy: moduleOf(route) } : found
    }
    if (tokenIgnored) continue
    const { path, body } = await request(world)
    yield { route, path, body, headers: { authorization: 'Bearer x.y.z' }, status: 401, anonymous: true }
  }
}

/** An address without an account: the subject of a failed sign-in. */
export const unknownAccount = 'nobody@example.com'
const password = 'a quiet harbour 71'

/** Requests that the services refuse after the body was read and validated. */
const byTheServices = async function* (world: World): AsyncGenerator<Attempt> {
  const { owner } = world
  const refusedBy = 'user'
  const own = `/api/v1/users/${owner.id}`
  yield { route: 'PATCH /api/v1/users/:id', path: own, body: { role: 'admin' }, headers: owner.headers, status: 403, refusedBy }
  const made = { name: 'Eve', email: 'eve@example.com', password, role: 'admin' }
  for (const headers of [{}, owner.headers])
    yield {
      route: 'POST /api/v1/users',
      path: '/api/v1/users',
      body: made,
      headers,
      status: 403,
      refusedBy,
      anonymous: headers !== owner.headers,
    }
  const unasked = { headers: {}, status: 401, refusedBy, anonymous: true } as const
  const bodies = {
    login: { email: unknownAccount, password },
    refresh: { refresh_token: 'none' },
  }
  for (const [name, body] of Object.entries(bodies))
    yield { ...unasked, route: `POST /api/v1/auth/${name}`, path: `/api/v1/auth/${name}`, body }
}

const actorOf = ({ headers, anonymous }: Attempt): AuditEntry['actor'] =>
  anonymous
    ? { type: 'anonymous', id: null }
    : { type: 'user', id: String(decodeJwt(headers.authorization?.slice('Bearer '.length) ?? '').sub) }

const expected = (attempt: Attempt, { body }: Answer, edge: string, inside: (module: string) => string) => ({
  actor: actorOf(attempt),
  action: attempt.route,
  decision: 'denied',
  service: attempt.refusedBy ? inside(attempt.refusedBy) : edge,
  status: attempt.status,
  code: body.code,
  count: 1,
})

const summaryOf = ({ actor, action, decision, service, details: { status, code, count } }: AuditEntry) => ({
  actor,
  action,
  decision,
  service,
  status,
  code,
  count,
})

export interface RefusedOptions {
  readonly world: World
  readonly read: () => Promise<AuditEntry[]>
  /** The service that enforces the policy. */
  readonly edge: string
  /** The service that enforces a module's own rules. */
  readonly inside: (module: string) => string
}

/** Sends every refused request, each from a different address: each has exactly one entry on the trail. */
export const runRefused = async (t: Test, { world, read, edge, inside }: RefusedOptions): Promise<number> => {
  const tried: { trace: string; what: string; expected: ReturnType<typeof expected> }[] = []
  const attempt = async (one: Attempt) => {
    const n = tried.length
    const trace = `e${String(n).padStart(31, '0')}`
    const [method = ''] = one.route.split(' ')
    const answer = await call(world.url + one.path, method, one.body, {
      ...one.headers,
      traceparent: `00-${trace}-00000000000000aa-01`,
      'x-forwarded-for': `198.51.${n >> 8}.${n & 255}`,
    })
    const what = `${one.route} by ${JSON.stringify(actorOf(one))}: ${one.status}`
    t.equal(answer.status, one.status, what)
    tried.push({ trace, what, expected: expected(one, answer, edge, inside) })
  }
  for await (const one of byThePolicy(world)) await attempt(one)
  for await (const one of byTheServices(world)) await attempt(one)

  const byTrace = async () => Map.groupBy(await read(), ({ trace_id }) => trace_id)
  await eventually(async () => {
    const found = await byTrace()
    return tried.every(({ trace }) => found.has(trace))
  }).catch(() => {})
  const found = await byTrace()
  const deniedOf = (trace: string) => (found.get(trace) ?? []).filter(({ decision }) => decision === 'denied')
  for (const { trace, what, expected } of tried) t.same(deniedOf(trace).map(summaryOf), [expected], what)
  const clients = tried.map(({ trace }) => deniedOf(trace)[0]?.details.client)
  t.equal(new Set(clients).size, tried.length, 'each client has a different network')
  return tried.length
}
