import { setTimeout } from 'node:timers/promises'

export interface Background {
  start(): void
  /** Ends the wait, and resolves when the current round has ended. */
  close(): Promise<void>
}

/**
 * Runs `round` repeatedly between `start` and `close`. Each round resolves with the milliseconds until the next, and checks
 * `signal` if it takes long. A round must not reject. The wait does not keep the process alive.
 */
export const createBackground = (round: (signal: AbortSignal) => Promise<number>): Background => {
  const ending = new AbortController()
  const { signal } = ending
  const run = async (): Promise<void> => {
    while (!signal.aborted) await setTimeout(await round(signal), undefined, { signal, ref: false }).catch(() => {})
  }
  let running: Promise<void> | undefined
  return {
    start: () => {
      running ??= run()
    },
    close: async () => {
      ending.abort()
      await running
    },
  }
}
