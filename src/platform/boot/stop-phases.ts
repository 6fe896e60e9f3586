import type { Logger } from 'pino'
import { endsWithin } from '../concurrency/deadline.ts'

/** One step of a stop, for which the next does not wait longer than its limit. */
export interface StopPhase {
  readonly name: string
  /** Milliseconds. */
  readonly limitMs: number
  readonly run: () => Promise<unknown> | undefined
  /** Ends by force what `run` has not ended in time. */
  readonly force?: () => void
}

/** Ends one phase after the other. What fails, or takes too long, is logged and keeps no other from its end. */
export const runPhases = async (phases: readonly StopPhase[], log: Pick<Logger, 'warn'>): Promise<void> => {
  for (const { name, limitMs, run, force } of phases) {
    try {
      const ending = Promise.resolve(run())
      if (await endsWithin(limitMs, ending)) {
        await ending
        continue
      }
      log.warn({ phase: name, limit_ms: limitMs }, 'stop phase timed out; continuing with the next one')
      force?.()
    } catch (error) {
      log.warn({ phase: name, err: error }, 'stop phase failed; continuing with the next one')
    }
  }
}
