import { Agent } from 'undici'
import { defineModule } from '../../platform/module.ts'
import { serviceConnections } from '../../platform/upstream/upstream.ts'
import { capConnections } from './connections.ts'
import { gatewayContract } from './contract.ts'
import { takeNamedHeaders } from './headers.ts'
import { pageRoutes } from './pages.ts'
import { createRateLimit } from './rate-limit.ts'
import { refuseDotSegments, securityHeaders } from './security-headers.ts'
import { watchUpstreams } from './upstream-health.ts'

export default defineModule({
  contract: gatewayContract,
  config: ['requestTimeoutMs', 'rateLimitPerMinute', 'redisUrl', 'connectionsPerClient', 'corsOrigins'],
  uses: ['upstreams'],
  create: ({ config, log, upstreams }) => {
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
    const limit = createRateLimit({ perMinute: config.rateLimitPerMinute, redisUrl: config.redisUrl, log })
    const health = watchUpstreams(remotes, connect)
    for (const { name, upstream } of remotes) {
      void upstream.ready().then(() => {
        if (upstream.targets().length === 0) log.warn({ upstream: name }, 'upstream has no targets')
      })
    }
    return {
      api: {},
      server: async (app) => {
        capConnections(app, config.connectionsPerClient)
        takeNamedHeaders(app)
        await securityHeaders(app, config.corsOrigins)
        await limit.register(app)
        refuseDotSegments(app)
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
      close: async () => {
        limit.close()
        await health.close()
        await dispatcher.destroy()
      },
    }
  },
})
