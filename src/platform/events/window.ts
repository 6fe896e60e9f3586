/** The events that were handed over and are not yet seen done by every queue. */
export interface Window {
  /** How many more there may be. */
  room(): number
  add(id: string, queues: readonly string[]): void
  /** One queue is done with these; answers those that no queue is left for, which are then no longer in it. */
  done(queue: string, ids: readonly string[]): string[]
  remove(ids: readonly string[]): void
  clear(): void
}

/** At most `size` events, each counting for `ms`: whatever is not seen done by then is due again. */
export const createWindow = (size: number, ms: number): Window => {
  const events = new Map<string, { readonly open: Set<string>; readonly until: number }>()
  return {
    room: () => {
      if (events.size >= size) for (const [id, { until }] of events) if (until < Date.now()) events.delete(id)
      return size - events.size
    },
    add: (id, queues) => {
      events.set(id, { open: new Set(queues), until: Date.now() + ms })
    },
    done: (queue, ids) =>
      ids.filter((id) => {
        const event = events.get(id)
        event?.open.delete(queue)
        return event?.open.size === 0 && events.delete(id)
      }),
    remove: (ids) => {
      for (const id of ids) events.delete(id)
    },
    clear: () => events.clear(),
  }
}
