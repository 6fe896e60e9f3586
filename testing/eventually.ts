import { setTimeout } from 'node:timers/promises'

/** Milliseconds between two calls: at first, and at last. A poll is often a request, and a wait of seconds needs no hundreds. */
const [shortest, longest] = [20, 200]

/**
 * Calls `fn` until it returns a truthy value or, if it returns nothing, does not throw. The pauses grow, or are `everyMs`.
 * Rejects with the last error after `timeoutMs`.
 */
export const eventually = async <T>(
  fn: () => T | Promise<T>,
  { timeoutMs = 10_000, everyMs }: { timeoutMs?: number; everyMs?: number } = {},
): Promise<Exclude<T, false | null>> => {
  const deadline = Date.now() + timeoutMs
  for (let pause = shortest; ; pause = Math.min(pause * 1.2, longest)) {
    let problem: unknown
    try {
      const value = await fn()
      if (value || value === undefined) return value as Exclude<T, false | null>
      problem = new Error(`The value is still ${JSON.stringify(value)}`)
    } catch (error) {
      problem = error
    }
    if (Date.now() >= deadline) throw new Error(`Timed out after ${timeoutMs} ms`, { cause: problem })
    await setTimeout(everyMs ?? pause)
  }
}
