import { join } from 'node:path'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { serviceNames } from '../../../../src/environment.ts'
import { type AuthenticateOptions, createAuthentication, type Identity } from '../../../../src/platform/auth/authenticate.ts'
import { createServiceTokens } from '../../../../src/platform/auth/service-tokens.ts'
import { ownerOf } from '../../../../src/platform/context.ts'
import { failWith } from '../../../../src/platform/errors.ts'
import { createHttp } from '../../../../src/platform/http/server.ts'
import { initKeys } from '../../../../src/platform/keys/key-files.ts'
import { createKeyStore } from '../../../../src/platform/keys/key-store.ts'
import { type Permission, type Role, roles } from '../../../../src/platform/permission.ts'
import { errors } from '../../../../src/registry.ts'

const fail = failWith(errors)

const everyone: Permission = { all: roles, own: [], anonymous: true }
const routes: Record<string, Permission> = {
  'GET /health': { ...everyone, tokenIgnored: true },
  'GET /api/v1/users': { all: ['admin'], own: [], anonymous: false, withoutSecondFactor: true },
  'GET /api/v1/orders': { all: ['admin'], own: ['user'], anonymous: false },
  'POST /api/v1/orders': { all: ['admin'], own: [], anonymous: false },
  'GET /api/v1/inventory': everyone,
}
const modules = [
  { name: 'user', paths: ['/users'] },
  { name: 'order', paths: ['/orders', '/inventory'] },
]
const people: Record<string, Identity> = {
  admin: { actor: { type: 'user', id: '1' }, role: 'admin' },
  'weak-admin': { actor: { type: 'user', id: '1' }, role: 'admin', mfaMissing: 'enrolment' },
  user: { actor: { type: 'user', id: '5' }, role: 'user' },
  auditor: { actor: { type: 'user', id: '6' }, role: 'auditor' },
}

/** Two modules in one process; their routes return the caller and the scope. */
const serve = async (t: Test, options: Partial<AuthenticateOptions> = {}) => {
  const folder = join(t.testdir({}), 'keys')
  await initKeys(folder, serviceNames)
  const keys = createKeyStore({ folder, strict: false })
  const tokens = createServiceTokens(keys, 'gateway')
  const app = await createHttp({ log: pino({ level: 'silent' }), trustProxy: false, budgetMs: 1000, stopping: () => false })
  const identify: AuthenticateOptions['identify'] = async (token) => {
    if (token === 'away') throw fail('user.unavailable')
    return people[token] ?? Promise.reject(fail('auth.invalid_token'))
  }
  await app.register(
    createAuthentication({
      routes,
      modules,
      serviceTokens: tokens,
      gatewayName: 'gateway',
      isPublicPort: false,
      asOfNow: [],
      identify,
      ...options,
    }),
  )
  const failures: (string | undefined)[] = []
  app.addHook('onResponse', async ({ failureCode }) => {
    failures.push(failureCode)
  })
  const answer = async ({ call }: { call: Parameters<typeof ownerOf>[0] & { role: Role | null } }) => ({
    ...call,
    owner: ownerOf(call),
  })
  for (const url of ['/health', '/api/v1/users', '/api/v1/inventory']) app.get(url, answer)
  app.route({ method: ['GET', 'POST'], url: '/api/v1/orders', handler: answer as never })
  for (const name of ['user', 'order']) app.post(`/internal/${name}/op`, answer)
  app.post('/internal/user/secret', { config: { callers: ['notification'] } }, answer)
  const ask = async (url: string, token?: string, method: 'GET' | 'POST' | 'PUT' = 'GET') => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const { statusCode, body } = await app.inject({ url, method, headers })
    return { status: statusCode, ...JSON.parse(body), failure: failures.at(-1) }
  }
  const person: Identity['actor'] = { type: 'user', id: '5' }
  const speak = (audience: string, actor = person, role: Role | null = 'user', caller = 'gateway') =>
    createServiceTokens(keys, caller).mint(audience, { actor, role })
  return { ask, speak, person }
}

t.test('a role has access to all data, its own, or none', async (t) => {
  const { ask } = await serve(t)
  t.match(await ask('/api/v1/orders', 'admin'), { status: 200, scope: 'all', role: 'admin', failure: undefined })
  t.notOk('owner' in (await ask('/api/v1/orders', 'admin')))
  t.match(await ask('/api/v1/orders', 'user'), { status: 200, scope: 'own', owner: 5 })
  t.match(await ask('/api/v1/orders', 'auditor'), { status: 403, code: 'auth.forbidden', failure: 'auth.forbidden' })
  t.match(await ask('/api/v1/orders'), { status: 401, code: 'auth.required', failure: 'auth.required' })
  t.match(await ask('/api/v1/orders', 'x'), { status: 401, code: 'auth.invalid_token', failure: 'auth.invalid_token' })
  t.match(await ask('/api/v1/inventory'), { status: 200, scope: 'own', owner: 0, actor: { type: 'anonymous' } })
  t.match(await ask('/api/v1/inventory', 'x'), { status: 401 }, 'an invalid token does not count as anonymous')
  t.match(await ask('/health', 'x'), { status: 200 })
  t.match(await ask('/nothing', 'x'), { status: 404, code: 'route.not_found' })
})

t.test('each method of a route has its own permission', async (t) => {
  const { ask } = await serve(t)
  t.match(await ask('/api/v1/orders', 'user', 'POST'), { status: 403 })
  t.match(await ask('/api/v1/orders', 'admin', 'POST'), { status: 200 })
  t.match(await ask('/api/v1/orders', 'admin', 'PUT'), { status: 405, code: 'request.method_not_allowed' })
})

t.test('requests are refused while the identity cannot be checked', async (t) => {
  const { ask } = await serve(t)
  for (const url of ['/api/v1/orders', '/api/v1/inventory'])
    t.match(await ask(url, 'away'), { status: 503, code: 'user.unavailable' })
  t.match(await ask('/health', 'away'), { status: 200 })
})

t.test('without the second factor that the role requires', async (t) => {
  const { ask } = await serve(t)
  t.match(await ask('/api/v1/users', 'weak-admin'), { status: 200 }, 'the policy allows this route without it')
  for (const url of ['/api/v1/orders', '/api/v1/inventory'])
    t.match(await ask(url, 'weak-admin'), { status: 403, code: 'auth.mfa_enrolment_required' })
})

t.test("a service token is valid only for its audience's routes", async (t) => {
  const { ask, speak } = await serve(t)
  t.match(await ask('/api/v1/orders', await speak('order')), { status: 200, scope: 'own', owner: 5 })
  t.match(await ask('/api/v1/orders', await speak('user')), { status: 401 }, 'another module in the same process is not enough')
  t.match(await ask('/api/v1/users', await speak('order')), { status: 401 })
  t.match(await ask('/internal/order/op', await speak('order'), 'POST'), { status: 200, actor: { id: '5' } })
  t.match(await ask('/internal/order/op', await speak('user'), 'POST'), { status: 401, failure: 'auth.invalid_token' })
  for (const token of [undefined, 'admin', 'x']) t.match(await ask('/internal/order/op', token, 'POST'), { status: 401 })
  const itself = await speak('order', { type: 'service', id: 'gateway' }, 'admin')
  t.match(await ask('/api/v1/orders', itself), { status: 403, code: 'auth.forbidden' }, 'a service has no role')
  t.match(await ask('/api/v1/inventory', itself), { status: 200, scope: 'own', owner: 0, role: null })
})

t.test('which service may vouch for a person, and which may call an operation', async (t) => {
  const { ask, speak, person } = await serve(t)
  const claimed = await speak('order', person, 'admin', 'product')
  t.match(
    await ask('/api/v1/orders', claimed),
    { status: 403, code: 'auth.forbidden' },
    'only the gateway has verified the person',
  )
  t.match(await ask('/api/v1/inventory', claimed), { status: 200, actor: { type: 'service', id: 'product' }, owner: 0 })
  const [caller, other] = [await speak('user', person, 'user', 'notification'), await speak('user', person, 'user', 'order')]
  t.match(await ask('/internal/user/secret', caller, 'POST'), { status: 200, actor: person })
  t.match(await ask('/internal/user/secret', other, 'POST'), { status: 403, failure: 'auth.forbidden' })
  t.match(await ask('/internal/user/op', other, 'POST'), { status: 200 })
})

t.test('the public port accepts no service tokens', async (t) => {
  const { ask, speak } = await serve(t, { isPublicPort: true })
  for (const url of ['/api/v1/orders', '/api/v1/inventory'])
    t.match(await ask(url, await speak('order')), { status: 401, code: 'auth.invalid_token' })
})

t.test('AUTH=off: everyone has access to everything', async (t) => {
  const { ask } = await serve(t, { serviceTokens: undefined })
  for (const url of ['/api/v1/orders', '/api/v1/users']) t.match(await ask(url, 'x'), { status: 200, scope: 'all' })
  t.match(await ask('/internal/order/op', undefined, 'POST'), { status: 200 })
})
