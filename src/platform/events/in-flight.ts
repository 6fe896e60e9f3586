/** The events that were handed over to one queue and are not yet seen done. */
export interface InFlight {
  /** How many more there may be. */
  room(): number
  add(ids: readonly string[]): void
  /** The queue is done with these; returns those that were in the window, and no longer are. */
  done(ids: readonly string[]): string[]
  clear(): void
}

/** At most `size` events, each counting for `ms`: whatever is not seen done by then is due again. */
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
