import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

export interface HealthOptions {
  /** As in `order-service`. */
  readonly service: string
  readonly starting: () => boolean
  readonly stopping: () => boolean
  /** What readiness needs; each rejects when its dependency is away. */
  readonly checks: Readonly<Record<string, () => Promise<void>>>
  /** Consumers that take nothing while jobs wait, with the seconds: shown, and no reason to send requests elsewhere. */
  readonly stuck?: () => Readonly<Record<string, number>>
  /** More to show in /health: the gateway's upstreams. */
  readonly details?: () => Record<string, unknown>
}

const Health = Type.Object(
  { status: Type.String(), service: Type.String(), timestamp: Type.String({ format: 'date-time' }) },
  { title: 'Health', additionalProperties: true },
)

const within = async (check: () => Promise<void>, milliseconds: number): Promise<boolean> => {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => resolve(false), milliseconds)
  check().then(
    () => resolve(true),
    () => resolve(false),
  )
  return promise.finally(() => clearTimeout(timer))
}

/** /health says what this is, /health/live that the process turns, /health/ready whether to send requests here. */
export const healthRoutes = async (
  app: FastifyInstance,
  { service, starting, stopping, checks, stuck = () => ({}), details }: HealthOptions,
): Promise<void> => {
  const answer = (status: string, more: Record<string, unknown> = {}) => ({
    status,
    service,
    timestamp: new Date().toISOString(),
    ...more,
  })
  const phase = () => (stopping() ? 'stopping' : starting() ? 'starting' : 'healthy')
  const documented = (operationId: string, summary: string) => ({
    schema: { operationId, summary, tags: ['health'], response: { 200: Health, 503: Health } },
  })

  app.get('/health', documented('health', 'What this is and whether it serves'), async () => answer(phase(), details?.()))
  app.get('/health/live', documented('live', 'The process turns; looks at no dependency'), async () => answer('healthy'))
  app.get('/health/ready', documented('ready', 'Whether to send requests here'), async (_request, reply) => {
    if (phase() !== 'healthy') return reply.code(503).send(answer(phase()))
    const results = await Promise.all(
      Object.entries(checks).map(async ([name, check]) => [name, (await within(check, 2000)) ? 'up' : 'down'] as const),
    )
    const ready = results.every(([, state]) => state === 'up')
    const stuckConsumers = stuck()
    const degraded = Object.keys(stuckConsumers).length > 0
    return reply.code(ready ? 200 : 503).send(
      answer(ready ? (degraded ? 'degraded' : 'healthy') : 'unhealthy', {
        dependencies: Object.fromEntries(results),
        ...(degraded ? { stuck_consumers: stuckConsumers } : {}),
      }),
    )
  })
}
