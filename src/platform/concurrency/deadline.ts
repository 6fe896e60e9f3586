/**
 * Calls `late` in `ms` milliseconds, unless it is cleared before. A process that waited for CPU finds its timers due before it
 * has read its sockets. So it reads them first: a response that has already arrived is not late.
 */
export const setDeadline = (ms: number, late: () => void): NodeJS.Timeout => setTimeout(() => setImmediate(late), ms)

/** The result of `work`, or throws `late()` if it takes more than `ms` milliseconds; `work` itself continues. */
export const withTimeout = async <T>(ms: number, work: PromiseLike<T>, late: () => Error): Promise<T> => {
  const limit = Promise.withResolvers<never>()
  const timer = setDeadline(ms, () => limit.reject(late()))
  return Promise.race([work, limit.promise]).finally(() => clearTimeout(timer))
}

/** The same for work that can be aborted: its signal aborts with `late()`, or together with `outer`. */
export const abortAfter = async <T>(
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
  { late = () => new DOMException('timed out', 'TimeoutError'), outer }: { late?: () => Error; outer?: AbortSignal } = {},
): Promise<T> => {
  outer?.throwIfAborted()
  const own = new AbortController()
  // Not AbortSignal.any: a signal of the process would hold each of these until the next garbage collection.
  const abort = () => own.abort(outer?.reason)
  outer?.addEventListener('abort', abort)
  const timer = setDeadline(ms, () => own.abort(late()))
  try {
    return await work(own.signal)
  } finally {
    clearTimeout(timer)
    outer?.removeEventListener('abort', abort)
  }
}

/** Waits up to `ms` milliseconds for work whose result and failure do not matter. @returns whether it ended in time */
export const endsWithin = async (ms: number, work: Promise<unknown>): Promise<boolean> => {
  const ended = () => true
  return withTimeout(ms, work.then(ended, ended), () => new Error('timed out')).catch(() => false)
}
