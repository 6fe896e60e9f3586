/** How a consumer tries an event again. Times in milliseconds. */
export interface RetryPolicy {
  /** Tries in all, the first included. */
  readonly attempts: number
  /** The pause after the first failure; each further one is twice as long. */
  readonly backoffMs: number
  /** No pause is longer. */
  readonly longestBackoffMs: number
}

/** How long to wait between tries. */
export type Pauses = Omit<RetryPolicy, 'attempts'>

const firstBackoffMs = 500

/** A pause of full length is drawn between half of it and all of it. */
const averageJitter = 0.75

/** The pause of full length after the attempt with this number, from 1. */
export const backoffAfter = (attempt: number, { backoffMs, longestBackoffMs }: Pauses): number =>
  Math.min(backoffMs * 2 ** Math.min(attempt - 1, 30), longestBackoffMs)

/** The same with jitter, in whole milliseconds, so that many do not come back at once. */
export const jitteredBackoff = (attempt: number, pauses: Pauses): number =>
  Math.round(backoffAfter(attempt, pauses) * (0.5 + Math.random() / 2))

/**
 * Exponential backoff for about `hours`, with pauses of at most `longestSeconds`: so many attempts that the pauses between
 * them add up to the time on average.
 */
export const retryFor = (hours: number, longestSeconds: number): RetryPolicy => {
  const pauses = { backoffMs: firstBackoffMs, longestBackoffMs: longestSeconds * 1000 }
  let attempts = 1
  for (let waited = 0; waited < hours * 3_600_000; attempts++) waited += averageJitter * backoffAfter(attempts, pauses)
  return { attempts, ...pauses }
}
