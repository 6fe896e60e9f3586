import { type Permission, type Role, roles } from './platform/permission.ts'

/**
 * RBAC: who may call which route. A public route that is not listed here stops the start. Raise `version` with each change: every
 * entry of the audit trail contains it.
 */
const everyone: Permission = { all: roles, own: [], anonymous: true }
/** Routes that show nobody's data, or take a password, a code or a token in the body. */
const unasked: Permission = { ...everyone, tokenIgnored: true }
const only = (...all: Role[]): Permission => ({ all, own: [], anonymous: false })
/** These roles may access everything, every other person only their own. */
const ownOr = (...all: Role[]): Permission => ({ all, own: roles.filter((role) => !all.includes(role)), anonymous: false })
const myself: Permission = { all: [], own: roles, anonymous: false }
/** Where an administrator enrols the required second factor. */
const enrolling: Permission = { ...myself, withoutSecondFactor: true }

export const policy = {
  version: '2026-11-28.5',
  routes: {
    'GET /': unasked,
    'GET /health': unasked,
    'GET /health/live': unasked,
    'GET /health/ready': unasked,
    'GET /openapi.json': unasked,
    'GET /docs': unasked,
    'GET /docs/*': unasked,
    'GET /.well-known/jwks.json': unasked,
    'GET /activate': unasked,
    'GET /reset-password': unasked,
    'GET /assets/*': unasked,

    'POST /api/v1/auth/login': unasked,
    'POST /api/v1/auth/refresh': unasked,
    'POST /api/v1/auth/logout': unasked,
    'POST /api/v1/auth/activate': unasked,
    'POST /api/v1/auth/password/forgot': unasked,
    'POST /api/v1/auth/password/reset': unasked,
    'GET /api/v1/auth/me': enrolling,
    'POST /api/v1/auth/reauthenticate': enrolling,
    'POST /api/v1/auth/password': enrolling,
    'POST /api/v1/auth/mfa/enrol': enrolling,
    'POST /api/v1/auth/mfa/confirm': enrolling,
    'DELETE /api/v1/auth/mfa': myself,

    'GET /api/v1/users': only('admin', 'support'),
    'POST /api/v1/users': { ...ownOr('admin'), anonymous: true },
    'GET /api/v1/users/:id': ownOr('admin', 'support'),
    'PATCH /api/v1/users/:id': ownOr('admin'),
    'DELETE /api/v1/users/:id': ownOr('admin'),
    'DELETE /api/v1/users/:id/mfa': only('admin'),
    'GET /api/v1/users/:id/export': ownOr('admin'),

    'GET /api/v1/products': everyone,
    'GET /api/v1/products/:id': everyone,
    'POST /api/v1/products': only('admin'),
    'PATCH /api/v1/products/:id': only('admin'),
    'DELETE /api/v1/products/:id': only('admin'),

    'GET /api/v1/orders': ownOr('admin', 'support'),
    'GET /api/v1/orders/:id': ownOr('admin', 'support'),
    'POST /api/v1/orders': ownOr('admin', 'support'),
    'PATCH /api/v1/orders/:id': only('admin', 'support'),
    'POST /api/v1/orders/:id/cancel': ownOr('admin', 'support'),
    'GET /api/v1/inventory': everyone,
    'PUT /api/v1/inventory/:product_id': only('admin'),
    'DELETE /api/v1/inventory/:product_id': only('admin'),
    'GET /api/v1/orders/dead-letters': only('admin', 'support'),
    'POST /api/v1/orders/dead-letters/replay': only('admin', 'support'),
    'POST /api/v1/orders/dead-letters/:event_id/replay': only('admin', 'support'),

    'GET /api/v1/notifications': ownOr('admin', 'support'),
    'GET /api/v1/notifications/:id': ownOr('admin', 'support'),
    'POST /api/v1/notifications/:id/retry': only('admin', 'support'),
    'GET /api/v1/notifications/dead-letters': only('admin', 'support'),
    'POST /api/v1/notifications/dead-letters/replay': only('admin', 'support'),
    'POST /api/v1/notifications/dead-letters/:event_id/replay': only('admin', 'support'),

    'GET /api/v1/audit': only('admin', 'auditor'),
    'GET /api/v1/audit/:id': only('admin', 'auditor'),
    'GET /api/v1/audit/:id/proof': only('admin', 'auditor'),
    'GET /api/v1/audit/checkpoint': only('admin', 'auditor'),
    'GET /api/v1/audit/snapshot': only('admin', 'auditor'),
    'GET /api/v1/audit/dead-letters': only('admin', 'auditor'),
    'POST /api/v1/audit/dead-letters/replay': only('admin'),
    'POST /api/v1/audit/dead-letters/:event_id/replay': only('admin'),
  } as Readonly<Record<string, Permission>>,
} as const
