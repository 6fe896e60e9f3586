/**
 * Calls `late` in `ms` milliseconds, unless it is cleared before. A process that waited for CPU finds its timers due before it
 * has read its sockets. So it reads them first: a response that has already arrived is not late.
 */
export const setDeadline = (ms: number, late: () => void): NodeJS.Timeout => setTimeout(() => setImmediate(late), ms)

/** The result of `work`, or throws `late()` if it takes more than `ms` milliseconds; `work` itself continues. */
export const within = async <T>(ms: number, work: Promise<T>, late: () => Error): Promise<T> => {
  const limit = Promise.withResolvers<never>()
  const timer = setDeadline(ms, () => limit.reject(late()))
  return Promise.race([work, limit.promise]).finally(() => clearTimeout(timer))
}

/** Waits up to `ms` milliseconds for work whose result and failure do not matter. @returns whether it ended in time */
export const endsWithin = async (ms: number, work: Promise<unknown>): Promise<boolean> => {
  const limit = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => limit.resolve(false), ms)
  const ended = () => true
  return Promise.race([work.then(ended, ended), limit.promise]).finally(() => clearTimeout(timer))
}
