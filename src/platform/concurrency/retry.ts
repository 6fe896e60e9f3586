/** Retry policy of a consumer. Times in milliseconds. */
export interface RetryPolicy {
  /** Number of attempts, including the first. */
  readonly attempts: number
  /** The pause after the first failure; it doubles with each further failure. */
  readonly backoffMs: number
  /** Maximum pause. */
  readonly longestBackoffMs: number
}

/** Pauses between attempts. */
export type Pauses = Omit<RetryPolicy, 'attempts'>

const firstBackoffMs = 500

/** Jitter: the actual pause is random between half and all of the full length. */
const averageJitter = 0.75

/** The full pause after the attempt with this number, from 1. */
export const backoffAfter = (attempt: number, { backoffMs, longestBackoffMs }: Pauses): number =>
  Math.min(backoffMs * 2 ** Math.min(attempt - 1, 30), longestBackoffMs)

/** The same with jitter, in whole milliseconds, so that many clients do not retry at once. */
export const jitteredBackoff = (attempt: number, pauses: Pauses): number =>
  Math.round(backoffAfter(attempt, pauses) * (0.5 + Math.random() / 2))

/**
 * Exponential backoff for about `hours`, with pauses of at most `longestSeconds`: the number of attempts is chosen so that the
 * pauses add up to that time on average.
 */
export const retryFor = (hours: number, longestSeconds: number): RetryPolicy => {
  const pauses = { backoffMs: firstBackoffMs, longestBackoffMs: longestSeconds * 1000 }
  let attempts = 1
  for (let waited = 0; waited < hours * 3_600_000; attempts++) waited += averageJitter * backoffAfter(attempts, pauses)
  return { attempts, ...pauses }
}
