import { type Headers, type Person, persons, unique, type World } from './authorization-world.ts'
import { reauthenticated } from './people.ts'

/**
 * The result: a status; 'empty' for a list without entries; 'past' if authorization passes and the rest of the request decides.
 */
export type Outcome = number | 'empty' | 'past'

export interface Request {
  /** With its query string. */
  readonly path: string
  readonly body?: unknown
  /** Instead of the usual owner's. */
  readonly owner?: Headers
}

interface Row {
  /** Created for each caller, so that one does not see the changes of another. */
  readonly request: (world: World) => Request | Promise<Request>
  readonly outcomes: Readonly<Record<Person, Outcome>>
  /** This route ignores the token. */
  readonly tokenIgnored: boolean
}

const row = (path: string | Row['request'], outcomes: readonly Outcome[], tokenIgnored = false): Row => ({
  request: typeof path === 'string' ? () => ({ path }) : path,
  outcomes: Object.fromEntries(persons.map((person, n) => [person, outcomes[n] as Outcome])) as Row['outcomes'],
  tokenIgnored,
})

const everybody = (outcome: Outcome): Outcome[] => persons.map(() => outcome)
const unasked = (path: string | Row['request'], outcome: Outcome): Row => row(path, everybody(outcome), true)
/** The schema rejects it for every caller who passes authorization. */
const nothing = (path: string) => () => ({ path, body: {} })

const ownOrder = async (world: World) => (await world.order(world.owner.id)).id
const ownPerson = async (world: World, suffix = '', body?: unknown): Promise<Request> => {
  const { id } = await world.person('user')
  const headers = await reauthenticated(world.keysDir, id)
  return { path: `/api/v1/users/${id}${suffix}`, owner: headers, ...(body === undefined ? {} : { body }) }
}
const someId = '01890000-0000-7000-8000-000000000000'
const noId = 2_147_483_647

/** What the requirements say about each route, written independently of src/policy.ts. */
export const expectations: Readonly<Record<string, Row>> = {
  'GET /': unasked('/', 200),
  'GET /health': unasked('/health', 200),
  'GET /health/live': unasked('/health/live', 200),
  'GET /health/ready': unasked('/health/ready', 200),
  'GET /openapi.json': unasked('/openapi.json', 200),
  'GET /docs': unasked('/docs', 'past'),
  'GET /docs/*': unasked('/docs/none', 404),
  'GET /.well-known/jwks.json': unasked('/.well-known/jwks.json', 200),
  'GET /activate': unasked('/activate', 200),
  'GET /reset-password': unasked('/reset-password', 200),
  'GET /assets/*': unasked('/assets/style.css', 200),

  'POST /api/v1/auth/login': unasked(nothing('/api/v1/auth/login'), 400),
  'POST /api/v1/auth/refresh': unasked(nothing('/api/v1/auth/refresh'), 400),
  'POST /api/v1/auth/logout': unasked(nothing('/api/v1/auth/logout'), 400),
  'POST /api/v1/auth/activate': unasked(nothing('/api/v1/auth/activate'), 400),
  'POST /api/v1/auth/password/forgot': unasked(nothing('/api/v1/auth/password/forgot'), 400),
  'POST /api/v1/auth/password/reset': unasked(nothing('/api/v1/auth/password/reset'), 400),
  // Who may                                                      nobody owner other support auditor admin
  'GET /api/v1/auth/me': row('/api/v1/auth/me', [401, 200, 200, 200, 200, 200]),
  'POST /api/v1/auth/reauthenticate': row(nothing('/api/v1/auth/reauthenticate'), [401, 400, 400, 400, 400, 400]),
  'POST /api/v1/auth/password': row(nothing('/api/v1/auth/password'), [401, 400, 400, 400, 400, 400]),
  'POST /api/v1/auth/mfa/enrol': row(nothing('/api/v1/auth/mfa/enrol'), [401, 'past', 'past', 'past', 'past', 'past']),
  'POST /api/v1/auth/mfa/confirm': row(nothing('/api/v1/auth/mfa/confirm'), [401, 400, 400, 400, 400, 400]),
  'DELETE /api/v1/auth/mfa': row(nothing('/api/v1/auth/mfa'), [401, 'past', 'past', 'past', 'past', 'past']),

  'GET /api/v1/users': row('/api/v1/users', [401, 403, 403, 200, 403, 200]),
  'POST /api/v1/users': row(nothing('/api/v1/users'), everybody(400)),
  'GET /api/v1/users/:id': row(ownPerson, [401, 200, 404, 200, 404, 200]),
  'PATCH /api/v1/users/:id': row((world) => ownPerson(world, '', { name: 'Other' }), [401, 200, 404, 404, 404, 200]),
  'DELETE /api/v1/users/:id': row(ownPerson, [401, 200, 404, 404, 404, 200]),
  'DELETE /api/v1/users/:id/mfa': row((world) => ownPerson(world, '/mfa', {}), [401, 403, 403, 403, 403, 400]),
  'GET /api/v1/users/:id/export': row((world) => ownPerson(world, '/export'), [401, 200, 404, 404, 404, 200]),

  'GET /api/v1/products': row('/api/v1/products', everybody(200)),
  'GET /api/v1/products/:id': row('/api/v1/products/1', everybody(200)),
  'POST /api/v1/products': row(
    () => ({ path: '/api/v1/products', body: { sku: unique(), name: 'Thing', price: 1 } }),
    [401, 403, 403, 403, 403, 201],
  ),
  'PATCH /api/v1/products/:id': row(
    ({ product: { id } }) => ({ path: `/api/v1/products/${id}`, body: { name: 'Other' } }),
    [401, 403, 403, 403, 403, 200],
  ),
  'DELETE /api/v1/products/:id': row(
    async ({ newProduct }) => ({ path: `/api/v1/products/${(await newProduct()).id}` }),
    [401, 403, 403, 403, 403, 200],
  ),

  'GET /api/v1/orders': row(
    ({ owner }) => ({ path: `/api/v1/orders?user_id=${owner.id}` }),
    [401, 200, 'empty', 200, 'empty', 200],
  ),
  'GET /api/v1/orders/:id': row(
    async (world) => ({ path: `/api/v1/orders/${await ownOrder(world)}` }),
    [401, 200, 404, 200, 404, 200],
  ),
  'POST /api/v1/orders': row(
    ({ owner, product }) => ({
      path: '/api/v1/orders',
      body: { user_id: owner.id, items: [{ product_id: product.id, quantity: 1 }] },
    }),
    [401, 201, 403, 201, 403, 201],
  ),
  'PATCH /api/v1/orders/:id': row(
    async (world) => ({ path: `/api/v1/orders/${await ownOrder(world)}`, body: { status: 'processing' } }),
    [401, 403, 403, 200, 403, 200],
  ),
  'POST /api/v1/orders/:id/cancel': row(
    async (world) => ({ path: `/api/v1/orders/${await ownOrder(world)}/cancel` }),
    [401, 200, 404, 200, 404, 200],
  ),
  'GET /api/v1/inventory': row('/api/v1/inventory', everybody(200)),
  'PUT /api/v1/inventory/:product_id': row(
    () => ({ path: '/api/v1/inventory/1', body: { available: 1000 } }),
    [401, 403, 403, 403, 403, 200],
  ),
  'DELETE /api/v1/inventory/:product_id': row(
    async ({ api, newProduct }) => {
      const { id } = await newProduct()
      await api(`/inventory/${id}`, 'PUT', { available: 1 })
      return { path: `/api/v1/inventory/${id}` }
    },
    [401, 403, 403, 403, 403, 200],
  ),
  'GET /api/v1/orders/dead-letters': row('/api/v1/orders/dead-letters', [401, 403, 403, 200, 403, 200]),
  'POST /api/v1/orders/dead-letters/replay': row(
    () => ({ path: '/api/v1/orders/dead-letters/replay', body: { event_ids: [someId] } }),
    [401, 403, 403, 202, 403, 202],
  ),
  'POST /api/v1/orders/dead-letters/:event_id/replay': row(
    `/api/v1/orders/dead-letters/${someId}/replay`,
    [401, 403, 403, 404, 403, 404],
  ),

  'GET /api/v1/notifications': row(
    ({ owner }) => ({ path: `/api/v1/notifications?user_id=${owner.id}` }),
    [401, 200, 'empty', 200, 'empty', 200],
  ),
  'GET /api/v1/notifications/:id': row(
    ({ notification: { id } }) => ({ path: `/api/v1/notifications/${id}` }),
    [401, 200, 404, 200, 404, 200],
  ),
  'POST /api/v1/notifications/:id/retry': row(
    ({ notification: { id } }) => ({ path: `/api/v1/notifications/${id}/retry` }),
    [401, 403, 403, 409, 403, 409],
  ),
  'GET /api/v1/notifications/dead-letters': row('/api/v1/notifications/dead-letters', [401, 403, 403, 200, 403, 200]),
  'POST /api/v1/notifications/dead-letters/replay': row(
    () => ({ path: '/api/v1/notifications/dead-letters/replay', body: { event_ids: [someId] } }),
    [401, 403, 403, 202, 403, 202],
  ),
  'POST /api/v1/notifications/dead-letters/:event_id/replay': row(
    `/api/v1/notifications/dead-letters/${someId}/replay`,
    [401, 403, 403, 404, 403, 404],
  ),

  'GET /api/v1/audit': row('/api/v1/audit', [401, 403, 403, 403, 200, 200]),
  'GET /api/v1/audit/:id': row(`/api/v1/audit/${noId}`, [401, 403, 403, 403, 404, 404]),
  'GET /api/v1/audit/:id/proof': row(`/api/v1/audit/${noId}/proof`, [401, 403, 403, 403, 404, 404]),
  'GET /api/v1/audit/checkpoint': row('/api/v1/audit/checkpoint', [401, 403, 403, 403, 'past', 'past']),
  'GET /api/v1/audit/snapshot': row('/api/v1/audit/snapshot', [401, 403, 403, 403, 'past', 'past']),
  'GET /api/v1/audit/dead-letters': row('/api/v1/audit/dead-letters', [401, 403, 403, 403, 200, 200]),
  'POST /api/v1/audit/dead-letters/replay': row(
    () => ({ path: '/api/v1/audit/dead-letters/replay', body: { event_ids: [someId] } }),
    [401, 403, 403, 403, 403, 202],
  ),
  'POST /api/v1/audit/dead-letters/:event_id/replay': row(
    `/api/v1/audit/dead-letters/${someId}/replay`,
    [401, 403, 403, 403, 403, 404],
  ),
}
