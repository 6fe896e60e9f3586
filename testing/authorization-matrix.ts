import type { Test } from 'tap'
import { fetch } from 'undici'
import { createServiceTokens } from '../src/platform/auth/service-tokens.ts'
import { createKeyStore } from '../src/platform/keys/key-store.ts'
import type { Answer } from './app.ts'
import { expectations, type Outcome, type Request } from './authorization-expectations.ts'
import { type Headers, type Person, persons, type World } from './authorization-world.ts'

/** Tokens that are invalid at the gateway: each route that reads a token returns 401 for them. */
const strangers = async ({ keysDir }: World, path: string): Promise<Record<string, Headers>> => {
  const [, audience = 'order'] = /^\/api\/v1\/([a-z]+?)s?(?:[/?]|$)/.exec(path) ?? []
  const module = { auth: 'user', inventory: 'order' }[audience] ?? audience
  const tokens = createServiceTokens(createKeyStore({ folder: keysDir, strict: false }), 'gateway')
  const captured = await tokens.mint(module, { actor: { type: 'user', id: '1' }, role: 'admin' })
  return { service: { authorization: `Bearer ${captured}` }, garbage: { authorization: 'Bearer x.y.z' } }
}

const refusals = ['auth.required', 'auth.invalid_token', 'auth.forbidden', 'auth.mfa_enrolment_required']

const outcomeOf = ({ status, body }: Pick<Answer, 'status' | 'body'>, expected: Outcome): Outcome => {
  if (expected === 'past') return refusals.includes(body?.code) || status >= 500 ? status : 'past'
  return status === 200 && body?.count === 0 && expected === 'empty' ? 'empty' : status
}

/** Like `call`, but the response's body does not have to be JSON. */
const send = async (url: string, method: string, body: unknown, headers: Headers): Promise<Pick<Answer, 'status' | 'body'>> => {
  const sent = body === undefined ? {} : { body: JSON.stringify(body) }
  const type: Headers = body === undefined ? {} : { 'content-type': 'application/json' }
  const response = await fetch(url, { method, headers: { ...type, ...headers }, ...sent })
  const text = await response.text()
  const isJson = text !== '' && /[/+]json(;|$)/.test(response.headers.get('content-type') ?? '')
  return { status: response.status, body: isJson ? JSON.parse(text) : text }
}

/** Checks every route for every caller against `expectations`, for HEAD as for GET. @returns the number of requests */
export const runMatrix = async (
  t: Test,
  world: World,
  routes: readonly string[],
  callers: readonly Person[] = persons,
): Promise<number> => {
  t.same(Object.keys(expectations).sort(), [...routes].sort(), 'each route has an expectation, and each expectation a route')
  let requests = 0
  for (const [route, { request, outcomes, tokenIgnored }] of Object.entries(expectations)) {
    const [method = ''] = route.split(' ')
    const ask = async (caller: string, headers: Headers, expected: Outcome, { path, body }: Request) => {
      requests++
      const answer = await send(world.url + path, method, body, headers)
      t.equal(outcomeOf(answer, expected), expected, `${route} by ${caller}: ${answer.status} ${answer.body?.code ?? ''}`)
      if (method !== 'GET' || expected === 'past') return
      const { status } = await send(world.url + path, 'HEAD', undefined, headers)
      t.equal(status, answer.status, `HEAD as ${route} by ${caller}`)
    }
    for (const person of callers) {
      const made = await request(world)
      await ask(person, (person === 'owner' && made.owner) || world.headers[person], outcomes[person], made)
    }
    const made = await request(world)
    for (const [caller, headers] of Object.entries(await strangers(world, made.path)))
      await ask(caller, headers, tokenIgnored ? outcomes.nobody : 401, made)
  }
  return requests
}
