import { CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhen } from 'cockatiel'
import type { Logger } from 'pino'
import { ProviderError } from '../providers.ts'

/** Consecutive failures that are not about the message itself. */
const failures = 5

export interface Breaker {
  /** Passes the result of `send` on; rejects at once while the circuit is open. */
  run<T>(send: () => Promise<T>): Promise<T>
  /** How many more messages may be tried while this many are in flight: one as a trial, none while the circuit is open. */
  room(free: number, inFlight: number): number
}

/**
 * The circuit breaker of one provider. When the provider is down or overloaded, it gets no messages for `restMs`; then one
 * message is the trial. Waiting messages use up no attempts.
 */
export const createBreaker = (provider: string, restMs: number, log: Pick<Logger, 'warn' | 'info'>): Breaker => {
  const policy = circuitBreaker(
    handleWhen((error) => error instanceof ProviderError && error.away),
    { halfOpenAfter: restMs, breaker: new ConsecutiveBreaker(failures) },
  )
  let openUntil = 0
  let open = false
  policy.onBreak(() => {
    // A little later than the policy's own clock allows one.
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
