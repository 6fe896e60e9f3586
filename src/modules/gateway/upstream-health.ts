import { Agent } from 'undici'
import type { Remote } from '../../platform/module.ts'

export interface UpstreamHealth {
  /** Resolves after every target was checked once. */
  ready(): Promise<void>
  /** For the public /health: counts only, because addresses inside the cluster are not public. */
  describe(): Record<string, { status: 'healthy' | 'unhealthy'; targets: number; healthy: number }>
  close(): Promise<void>
}

const everyMs = 1000
const timeoutMs = 1000

/** Checks /health/ready of every target of every upstream, once a second. */
export const watchUpstreams = (remotes: readonly Remote[], connect: Agent.Options['connect']): UpstreamHealth => {
  const dispatcher = new Agent({ connections: 1, allowH2: false, connect })
  const stop = new AbortController()
  let healthy = new Set<string>()

  const isReady = async (origin: string): Promise<boolean> => {
    try {
      const { statusCode, body } = await dispatcher.request({
        origin,
        path: '/health/ready',
        method: 'GET',
        // A new connection each time: a kept one still works after the server has stopped listening.
        reset: true,
        signal: AbortSignal.any([stop.signal, AbortSignal.timeout(timeoutMs)]),
      })
      await body.dump()
      return statusCode >= 200 && statusCode < 300
    } catch {
      return false
    }
  }

  const probe = async () => {
    const origins = [...new Set(remotes.flatMap(({ upstream }) => upstream.targets().map(({ origin }) => origin)))]
    const states = await Promise.all(origins.map(isReady))
    healthy = new Set(origins.filter((_origin, index) => states[index]))
  }

  const first = probe()
  const timer = setInterval(probe, everyMs).unref()

  return {
    ready: () => first,
    describe: () =>
      Object.fromEntries(
        remotes.map(({ name, upstream }) => {
          const targets = upstream.targets()
          const up = targets.filter(({ origin }) => healthy.has(origin)).length
          return [`${name}-service`, { status: up > 0 ? 'healthy' : 'unhealthy', targets: targets.length, healthy: up }]
        }),
      ),
    close: async () => {
      clearInterval(timer)
      stop.abort()
      await dispatcher.destroy()
    },
  }
}
