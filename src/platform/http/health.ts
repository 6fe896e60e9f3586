import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { withTimeout } from '../concurrency/deadline.ts'

export interface HealthOptions {
  /** Such as `order-service`. */
  readonly service: string
  readonly starting: () => boolean
  readonly stopping: () => boolean
  /** Checks for readiness; each rejects when its dependency is down. */
  readonly checks: Readonly<Record<string, () => Promise<void>>>
  /** Stuck consumers, with the seconds: reported, but no reason to send requests elsewhere. */
  readonly stuck?: () => Readonly<Record<string, number>>
  /** More fields in /health: the gateway's upstreams. */
  readonly details?: () => Record<string, unknown>
}

const Health = Type.Object(
  { status: Type.String(), service: Type.String(), timestamp: Type.String({ format: 'date-time' }) },
  { title: 'Health', additionalProperties: true },
)

/** Milliseconds that a result is cached for all probes. */
const freshMs = 1000
const limitMs = 2000

/** Whether a check passes: runs at most once per interval, one at a time, with a time limit. */
const keepState = (check: () => Promise<void>): (() => Promise<boolean>) => {
  let state = Promise.resolve(false)
  let until = Number.NEGATIVE_INFINITY
  return () => {
    if (performance.now() < until) return state
    until = Number.POSITIVE_INFINITY
    state = withTimeout(limitMs, Promise.resolve().then(check), () => new Error('the check timed out')).then(
      () => true,
      () => false,
    )
    void state.then(() => {
      until = performance.now() + freshMs
    })
    return state
  }
}

/** /health describes the process, /health/live says that the event loop responds, /health/ready whether to send requests here. */
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

  const states = Object.entries(checks).map(([name, check]) => [name, keepState(check)] as const)
  app.get('/health', documented('health', 'What this is and whether it serves'), async () => answer(phase(), details?.()))
  app.get('/health/live', documented('live', 'The process turns; looks at no dependency'), async () => answer('healthy'))
  app.get('/health/ready', documented('ready', 'Whether to send requests here'), async (_request, reply) => {
    if (phase() !== 'healthy') return reply.code(503).send(answer(phase()))
    const results = await Promise.all(states.map(async ([name, passes]) => [name, (await passes()) ? 'up' : 'down'] as const))
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
