import type { Logger } from 'pino'
import { endsWithin } from '../concurrency/deadline.ts'

/** One step of a shutdown, with a time limit. */
export interface StopPhase {
  readonly name: string
  /** Milliseconds. */
  readonly limitMs: number
  readonly run: () => Promise<unknown> | undefined
  /** Forces the end if `run` is late. */
  readonly force?: () => void
}

/** Runs the phases in order. A phase that fails or is late is logged and does not prevent the next ones. */
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
