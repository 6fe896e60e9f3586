export interface Cache<T> {
  /** Undefined when it is not there, or no longer good. */
  get(key: string): T | undefined
  /** @param until epoch milliseconds */
  set(key: string, value: T, until: number): void
}

/** What is known, for as long as it is good; of more than `max` entries, those that were not asked for longest go. */
export const createCache = <T>(max = 4096): Cache<T> => {
  const entries = new Map<string, { readonly value: T; readonly until: number }>()
  return {
    get: (key) => {
      const entry = entries.get(key)
      if (!entry) return undefined
      entries.delete(key)
      if (entry.until <= Date.now()) return undefined
      // Behind all others: a Map keeps the order in which its entries came.
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
