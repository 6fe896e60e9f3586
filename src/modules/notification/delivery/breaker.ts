import { CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhen } from 'cockatiel'
import type { Logger } from 'pino'
import { ProviderError } from '../providers.ts'

/** Failures in a row, of which none is about the message alone. */
const failures = 5

export interface Breaker {
  /** Passes on what `send` does; while the circuit is open it rejects at once. */
  run<T>(send: () => Promise<T>): Promise<T>
  /** How many more messages may be tried where so many are under way: one to see whether the provider is back, none while it rests. */
  room(free: number, inFlight: number): number
}

/**
 * The circuit breaker of one provider. One that is away or takes no more is left alone for `restMs`; then a single message tries
 * whether it is back. What waits meanwhile uses up none of its tries.
 */
export const createBreaker = (provider: string, restMs: number, log: Pick<Logger, 'warn' | 'info'>): Breaker => {
  const policy = circuitBreaker(
    handleWhen((error) => error instanceof ProviderError && error.away),
    { halfOpenAfter: restMs, breaker: new ConsecutiveBreaker(failures) },
  )
  let openUntil = 0
  let open = false
  policy.onBreak(() => {
    // A little later than the policy's own clock lets one through.
    openUntil = performance.now() + restMs + 10
    if (!open) log.warn({ provider }, 'circuit breaker open: messages wait for the provider')
    open = true
  })
  policy.onReset(() => {
    open = false
    log.info({ provider }, 'circuit breaker closed: the provider accepts messages again')
  })
  return {
    run: (send) => policy.execute(send),
    room: (free, inFlight) => {
      if (policy.state === CircuitState.Closed) return free
      return inFlight === 0 && performance.now() >= openUntil ? Math.min(free, 1) : 0
    },
  }
}
