import type { Logger } from 'pino'
import { endsWithin } from '../concurrency/deadline.ts'

/** One step of a shutdown, with a time limit. */
export interface StopPhase {
  readonly name: string
  /** Milliseconds. */
  readonly limitMs: number
  readonly run: () => unknown
  /** Forces the end if `run` is late. */
  readonly force?: () => void
}

/** The shutdown of everything that is open: AsyncDisposableStack (missing in Node.js 22), with names and time limits. */
export interface Shutdown {
  /** Each part calls it before it opens something, or immediately afterwards. */
  add(phase: StopPhase): void
  /** Runs the phases once, in reverse order; later calls wait for the first. Never rejects. */
  run(): Promise<void>
}

/** A phase that fails or is late is logged and does not prevent the next ones. */
export const createShutdown = (log: Pick<Logger, 'warn'>): Shutdown => {
  const phases: StopPhase[] = []
  let running: Promise<void> | undefined

  const runOne = async ({ name, limitMs, run, force }: StopPhase): Promise<void> => {
    try {
      const ending = Promise.resolve(run())
      if (await endsWithin(limitMs, ending)) await ending
      else {
        log.warn({ phase: name, limit_ms: limitMs }, 'stop phase timed out; continuing with the next one')
        force?.()
      }
    } catch (error) {
      log.warn({ phase: name, err: error }, 'stop phase failed; continuing with the next one')
    }
  }
  const runAll = async (): Promise<void> => {
    for (let phase = phases.pop(); phase; phase = phases.pop()) await runOne(phase)
  }

  return {
    add: (phase) => {
      phases.push(phase)
    },
    run: () => {
      running ??= runAll()
      return running
    },
  }
}
