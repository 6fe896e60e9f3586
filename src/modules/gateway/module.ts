import { Agent } from 'undici'
import { defineModule } from '../../platform/module.ts'
import { serviceConnections } from '../../platform/upstream/upstream.ts'
import { connectionCap } from './connections.ts'
import { gatewayContract } from './contract.ts'
import { namedHeaders } from './headers.ts'
import { pageRoutes } from './pages.ts'
import { createRateLimit } from './rate-limit.ts'
import { dotSegments, securityHeaders } from './security-headers.ts'
import { watchUpstreams } from './upstream-health.ts'

export default defineModule({
  contract: gatewayContract,
  config: ['requestTimeoutMs', 'rateLimitPerMinute', 'redisUrl', 'connectionsPerClient', 'corsOrigins'],
  uses: ['upstreams'],
  create: ({ config, log, upstreams, onStop }) => {
    const { remotes, tokens, connect } = upstreams
    // HTTP/1.1 only: hop-by-hop headers are stripped by that version's rules.
    const dispatcher = new Agent({
      connections: 128,
      allowH2: false,
      ...serviceConnections,
      // Maximum time between two parts of a response; the deadline of the request ends with the first part.
      bodyTimeout: config.requestTimeoutMs,
      connect,
    })
    onStop('forwarding', () => dispatcher.destroy())
    const limit = createRateLimit({ perMinute: config.rateLimitPerMinute, redisUrl: config.redisUrl, log })
    onStop('rate limit', limit.close)
    const health = watchUpstreams(remotes, connect)
    onStop('upstream health', health.close)
    for (const { name, upstream } of remotes) {
      void upstream.ready().then(() => {
        if (upstream.targets().length === 0) log.warn({ upstream: name }, 'upstream has no targets')
      })
    }
    return {
      api: {},
      server: async (app) => {
        await app.register(connectionCap, { perClient: config.connectionsPerClient })
        await app.register(namedHeaders)
        await app.register(securityHeaders, { corsOrigins: config.corsOrigins })
        await app.register(limit.plugin)
        await app.register(dotSegments)
      },
      pages: pageRoutes,
      routes: async (app) => {
        if (remotes.length > 0) {
          const { proxyRoutes } = await import('./proxy.ts')
          await proxyRoutes(app, { remotes, dispatcher, timeoutMs: config.requestTimeoutMs, tokens })
        }
        await health.ready()
      },
      ...(remotes.length > 0 ? { health: () => ({ upstreams: health.describe() }) } : {}),
    }
  },
})
