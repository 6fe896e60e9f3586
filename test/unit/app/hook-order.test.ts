import Fastify, { type FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { pino } from 'pino'
import t from 'tap'
import { connectionCap } from '../../../src/modules/gateway/connections.ts'
import { namedHeaders } from '../../../src/modules/gateway/headers.ts'
import { createRateLimit } from '../../../src/modules/gateway/rate-limit.ts'
import { dotSegments, securityHeaders } from '../../../src/modules/gateway/security-headers.ts'
import { watchAccess } from '../../../src/platform/audit/watch-access.ts'
import { createAuthentication } from '../../../src/platform/auth/authenticate.ts'
import { bodyLimits, jsonBodies } from '../../../src/platform/http/body.ts'
import { lastRequests } from '../../../src/platform/http/last-requests.ts'
import { longRequests } from '../../../src/platform/http/long-requests.ts'
import { routeMethods } from '../../../src/platform/http/methods.ts'
import { describeRoutes } from '../../../src/platform/http/openapi.ts'
import { cleanParameters } from '../../../src/platform/http/query.ts'
import { replyDefaults } from '../../../src/platform/http/reply-defaults.ts'
import { newContext, requestContext } from '../../../src/platform/http/request-context.ts'
import { requestLog } from '../../../src/platform/http/request-log.ts'
import { createRequestsInFlight } from '../../../src/platform/http/requests-in-flight.ts'
import { createStartGate } from '../../../src/platform/http/start-gate.ts'
import { successMessages } from '../../../src/platform/http/success-messages.ts'

const log = pino({ level: 'silent' })
type Plugin = FastifyPluginAsync<Record<never, never>>
const plugin = (made: unknown) => made as Plugin

const authentication = createAuthentication({
  routes: {},
  modules: [],
  serviceTokens: undefined,
  gatewayName: 'gateway',
  isPublicPort: true,
  asOfNow: [],
  identify: () => Promise.reject(new Error('not called')),
  after: ['start-gate', 'rate-limit'],
})

/** Every plugin with a hook, in a correct order, with its options. */
const plugins: readonly (readonly [Plugin, object?])[] = [
  [routeMethods],
  [plugin(requestContext), { contextOf: newContext(1000, 'p1'), needsCertificate: false }],
  [longRequests],
  [cleanParameters],
  [jsonBodies],
  [plugin(bodyLimits), { limits: {} }],
  [plugin(replyDefaults), { stopping: () => false }],
  [requestLog],
  [lastRequests],
  [createRequestsInFlight().plugin],
  [createStartGate().plugin],
  [plugin(watchAccess), { trail: { add: () => {} }, reads: {}, accounts: {}, accountHash: String, log, onError: () => {} }],
  [plugin(connectionCap), { perClient: 0 }],
  [namedHeaders],
  [plugin(securityHeaders), { corsOrigins: [] }],
  [createRateLimit({ perMinute: 0, redisUrl: undefined, log }).plugin],
  [dotSegments],
  [authentication],
  [successMessages],
  [plugin(describeRoutes), { routes: {}, tags: [] }],
]

const metaOf = (one: Plugin): { name: string; dependencies?: string[] } =>
  (one as unknown as Record<symbol, never>)[Symbol.for('plugin-meta')] as never

/** Starts a server with these plugins in this order. */
const start = async (list: typeof plugins) => {
  const app = Fastify()
  try {
    for (const [one, options] of list) await app.register(one, options ?? {})
    await app.ready()
  } finally {
    await app.close()
  }
}

t.test('each plugin with hooks has a unique name, and in the correct order the server starts', async (t) => {
  const names = plugins.map(([one]) => metaOf(one).name)
  t.equal(new Set(names).size, plugins.length)
  t.notOk(names.some((name) => /-auto-\d+$/.test(name)))
  await t.resolves(start(plugins))
})

t.test('the start fails if a plugin comes before its dependency', async (t) => {
  const named = (name: string): (typeof plugins)[0] => [fp(async () => {}, { name })]
  let tried = 0
  for (const [one, options] of plugins) {
    const { name, dependencies = [] } = metaOf(one)
    for (const dependency of dependencies) {
      const others = dependencies.filter((other) => other !== dependency).map(named)
      const message = new RegExp(`dependency '${dependency}' of plugin '${name}' is not registered`)
      await t.rejects(start([...others, [one, options], named(dependency)]), message, `${name} before ${dependency}`)
      tried += 1
    }
  }
  t.ok(tried > 15, `${tried} dependencies`)
})
