import type { Agent } from 'undici'
import type { Remote } from '../../platform/module.ts'
import { createProber } from '../../platform/upstream/prober.ts'

export interface UpstreamHealth {
  /** Resolves after every target was checked once. */
  ready(): Promise<void>
  /** For the public /health: counts only, because addresses inside the cluster are not public. */
  describe(): Record<string, { status: 'healthy' | 'unhealthy'; targets: number; healthy: number }>
  close(): Promise<void>
}

const everyMs = 1000

/** Checks /health/ready of every target of every upstream, once a second. */
export const watchUpstreams = (remotes: readonly Remote[], connect: Agent.Options['connect']): UpstreamHealth => {
  const prober = createProber(connect)
  let healthy = new Set<string>()

  const probe = async () => {
    const origins = [...new Set(remotes.flatMap(({ upstream }) => upstream.targets().map(({ origin }) => origin)))]
    const states = await Promise.all(origins.map(prober.probe))
    healthy = new Set(origins.filter((_origin, index) => states[index]?.ready))
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
      await prober.close()
    },
  }
}
