import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { within } from '../concurrency/deadline.ts'

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

/** Milliseconds. A probe sees what was true this long ago, however many there are. */
const freshMs = 1000
const limitMs = 2000

/** Whether a check passes: looked at once in a while, by one at a time, and not for longer than its limit. */
const keepState = (check: () => Promise<void>): (() => Promise<boolean>) => {
  let state = Promise.resolve(false)
  let until = Number.NEGATIVE_INFINITY
  return () => {
    if (performance.now() < until) return state
    until = Number.POSITIVE_INFINITY
    state = within(limitMs, Promise.resolve().then(check), () => new Error('the check takes too long')).then(
      () => true,
      () => false,
    )
    void state.then(() => {
      until = performance.now() + freshMs
    })
    return state
  }
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
