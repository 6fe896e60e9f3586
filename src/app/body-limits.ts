import { defaultBodyLimit } from '../platform/http/body.ts'
import { policy } from '../policy.ts'
import { registry } from '../registry.ts'

const larger: Readonly<Record<string, number>> = Object.assign(
  {},
  ...Object.values(registry).map(({ contract }) => contract.bodyLimits),
)

/** Maximum body size of each public route in bytes, such as `POST /api/v1/orders`. */
export const bodyLimits: Readonly<Record<string, number>> = Object.fromEntries(
  Object.keys(policy.routes).map((route) => [route, larger[route.replace(' /api/v1', ' ')] ?? defaultBodyLimit]),
)
