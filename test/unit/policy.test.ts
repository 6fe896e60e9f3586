import { createHash } from 'node:crypto'
import { pino } from 'pino'
import t from 'tap'
import { type AuthenticateOptions, createAuthentication } from '../../src/platform/auth/authenticate.ts'
import { matchRoutes } from '../../src/platform/http/match-route.ts'
import { createHttp } from '../../src/platform/http/server.ts'
import { roles } from '../../src/platform/permission.ts'
import { policy } from '../../src/policy.ts'

/** A digest of each version of the policy. A change of the routes needs a new version: add its digest, and keep the old ones. */
const digests: Record<string, string> = {
  '2026-11-23.1': 'ce6584228ccec77c5a7e87ecaec9c9dc7ee3942f9f4e7cd7f58ef6c5c99d86f3',
  '2026-11-28.1': '4c049056657cfa05f4f93bdd23541468ca4579b6b1b7f49bf3d43e0055506cf1',
  '2026-11-28.2': '028ee300591c2291e301c5c14d34a18ea391e9727660e6eac737955f72994505',
  '2026-11-28.3': '72d0ca8a1129e5ab7a70bbc2fa04d7cb252f01194ffd81c23d3deeecdd933dc5',
  '2026-11-28.4': '7cda5d365e382d0fbc26ff8b2d7dc85e11e101a8940ae53b6b8db2fab3f5b081',
  '2026-11-28.5': '886b0ac81e5040d85d2c37f5fcd826133590e3602e08103764f0217332bfdcc1',
}

t.test('each change of the policy has a new version', async (t) => {
  const said = Object.entries(policy.routes)
    .map(([route, permission]) => [route, Object.entries(permission).sort(([a], [b]) => a.localeCompare(b))] as const)
    .sort(([a], [b]) => a.localeCompare(b))
  const digest = createHash('sha256').update(JSON.stringify(said)).digest('hex')
  t.equal(Object.keys(digests).at(-1), policy.version, 'the current version is the newest')
  t.equal(digest, digests[policy.version], 'change `version` in src/policy.ts with each change of its routes')
})

t.test('the list of anonymous routes', async (t) => {
  const open = Object.entries(policy.routes).filter(([, { anonymous }]) => anonymous)
  t.same(
    open
      .map(([route]) => route)
      .filter((route) => !/ \/api\/v1\/auth\//.test(route) && / \/api/.test(route))
      .sort(),
    ['GET /api/v1/inventory', 'GET /api/v1/products', 'GET /api/v1/products/:id', 'POST /api/v1/users'],
  )
  for (const [route, { all, own, anonymous, tokenIgnored }] of Object.entries(policy.routes)) {
    t.ok(anonymous || all.length + own.length > 0, `${route} is allowed for at least one role`)
    t.same(
      roles.filter((role) => all.includes(role) && own.includes(role)),
      [],
      `${route}: one scope for each role`,
    )
    if (tokenIgnored) t.ok(anonymous, route)
  }
})

const serve = async (routes: AuthenticateOptions['routes']) => {
  const app = await createHttp({ log: pino({ level: 'silent' }), trustProxy: false, budgetMs: 1000, stopping: () => false })
  const identify = () => Promise.reject(new Error('not called'))
  await app.register(
    createAuthentication({
      routes,
      modules: [],
      serviceTokens: undefined,
      gatewayName: 'gateway',
      isPublicPort: true,
      asOfNow: [],
      identify,
    }),
  )
  return app
}

t.test('a route that is missing in the policy fails the start', async (t) => {
  const { 'GET /api/v1/orders': orders, ...others } = policy.routes
  const app = await serve(others)
  t.doesNotThrow(() => app.get('/api/v1/products', async () => ''))
  t.throws(() => app.get('/api/v1/orders', async () => ''), /GET \/api\/v1\/orders is not in src\/policy.ts/)
  t.throws(() => app.route({ method: ['GET', 'PUT'], url: '/api/v1/products', handler: async () => '' }), /PUT .* is not in/)
  t.throws(() => app.all('/health', async () => ''), /is not in/)
  t.throws(() => app.get('/api/v1/:anything', async () => ''), /is not in/)
  const nested = app.register(async (scope) => scope.get('/orders', async () => ''), { prefix: '/api/v1' })
  await t.rejects(Promise.resolve(nested), /GET \/api\/v1\/orders is not in/)
  t.ok(orders)
})

t.test('internal routes need no entry in the policy, even with AUTH=off', async (t) => {
  const app = await serve({})
  t.doesNotThrow(() => app.post('/internal/user/getUser', async () => ''))
  t.throws(() => app.get('/internals', async () => ''), /is not in/)
})

t.test('matches a method and URL to a route', async (t) => {
  const routes = Object.fromEntries(Object.keys(policy.routes).map((route) => [route, route]))
  const match = matchRoutes(routes)
  const found: [method: string, url: string, route: string | undefined][] = [
    ['GET', '/api/v1/orders', 'GET /api/v1/orders'],
    ['HEAD', '/api/v1/orders?limit=1', 'GET /api/v1/orders'],
    ['GET', '/api/v1/orders/5', 'GET /api/v1/orders/:id'],
    ['GET', '/api/v1/orders/5?a=b/c', 'GET /api/v1/orders/:id'],
    ['GET', '/api/v1/orders/5#/cancel', 'GET /api/v1/orders/:id'],
    ['GET', '/api/v1/orders/a%2Fb', 'GET /api/v1/orders/:id'],
    ['GET', '/%61pi/v1/%6frders/5', 'GET /api/v1/orders/:id'],
    ['POST', '/api/v1/orders/5/cancel', 'POST /api/v1/orders/:id/cancel'],
    ['GET', '/api/v1/notifications/dead-letters', 'GET /api/v1/notifications/dead-letters'],
    ['GET', '/api/v1/notifications/dead%2Dletters', 'GET /api/v1/notifications/dead-letters'],
    ['GET', '/api/v1/notifications/5', 'GET /api/v1/notifications/:id'],
    ['GET', '/api/v1/audit/checkpoint', 'GET /api/v1/audit/checkpoint'],
    ['GET', '/docs/', 'GET /docs/*'],
    ['GET', '/docs/a/b', 'GET /docs/*'],
    ['GET', '/docs', 'GET /docs'],
    ['GET', '/docsx/a', undefined],
    ['DELETE', '/api/v1/orders/5', undefined],
    ['GET', '/api/v1/orders/', undefined],
    ['GET', '/api/v1/orders/5/', undefined],
    ['GET', '/api/v1//orders', undefined],
    ['GET', '/API/v1/orders', undefined],
    ['GET', '/api/v1/orders/%zz', undefined],
    ['get', '/api/v1/orders', undefined],
    ['GET', '/api/v1/__proto__', undefined],
    ['constructor', '/api/v1/orders', undefined],
  ]
  for (const [method, url, route] of found) t.equal(match(method, url), route, `${method} ${url}`)
})
