/** The events that were dispatched to one queue and are not yet completed. */
export interface InFlight {
  /** How many more there may be. */
  room(): number
  add(ids: readonly string[]): void
  /** The queue has completed these; returns those that were in the window. */
  done(ids: readonly string[]): string[]
  clear(): void
}

/** At most `size` events, each for up to `ms`: after that it is due again. */
export const createInFlight = (size: number, ms: number): InFlight => {
  const until = new Map<string, number>()
  return {
    room: () => {
      if (until.size >= size) for (const [id, end] of until) if (end < Date.now()) until.delete(id)
      return size - until.size
    },
    add: (ids) => {
      for (const id of ids) until.set(id, Date.now() + ms)
    },
    done: (ids) => ids.filter((id) => until.delete(id)),
    clear: () => until.clear(),
  }
}
