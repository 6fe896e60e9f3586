/** Finds an event with two entries; uses about 60 bytes per event. */
export interface EventIds {
  /** @returns the first entry of this event, if there was one */
  add(eventId: string, entryId: number): number | undefined
}

/** A Map holds at most 16 million keys. */
const parts = 256

export const createEventIds = (): EventIds => {
  const known = Array.from({ length: parts }, () => new Map<string, number>())
  return {
    add: (eventId, entryId) => {
      const bytes = Buffer.from(eventId.replaceAll('-', ''), 'hex')
      // The last byte of an id is random (RFC 9562); the first ones are the time.
      const part = known[bytes.at(-1) ?? 0] as Map<string, number>
      const key = bytes.toString('latin1')
      const first = part.get(key)
      if (first === undefined) part.set(key, entryId)
      return first
    },
  }
}
