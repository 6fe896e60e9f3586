export interface Cache<T> {
  /** Undefined if missing or expired. */
  get(key: string): T | undefined
  /** @param until epoch milliseconds */
  set(key: string, value: T, until: number): void
}

/** A cache with expiry; of more than `max` entries, the least recently used are evicted. */
export const createCache = <T>(max = 4096): Cache<T> => {
  const entries = new Map<string, { readonly value: T; readonly until: number }>()
  return {
    get: (key) => {
      const entry = entries.get(key)
      if (!entry) return undefined
      entries.delete(key)
      if (entry.until <= Date.now()) return undefined
      // Moves it to the end: a Map keeps insertion order.
      entries.set(key, entry)
      return entry.value
    },
    set: (key, value, until) => {
      entries.delete(key)
      entries.set(key, { value, until })
      if (entries.size <= max) return
      const [oldest] = entries.keys()
      if (oldest !== undefined) entries.delete(oldest)
    },
  }
}
