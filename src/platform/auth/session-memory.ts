/** A token is valid for one version of its person's session. */
export interface VersionedSession {
  readonly session_version: number
}

/**
 * The last known sessions, for the time when the user service does not respond. A revocation is final: a session that was once
 * seen changed or deleted is never accepted again, regardless of the order of responses.
 */
export interface SessionMemory<S extends VersionedSession> {
  /** @param session undefined if there is none any more @param askedAt when the query was sent, by `now` */
  note(id: number, session: S | undefined, askedAt: number): void
  /** The session of a token with this version, if a response that is fresh enough confirmed it and none contradicted it. */
  recall(id: number, version: number): S | undefined
  size(): number
}

export interface SessionMemoryOptions {
  /** How long a response may be used, counted from the query. */
  readonly freshMs: number
  /** Maximum number of people; the one with the oldest response is evicted. */
  readonly max?: number
  /** Longer than any query takes: a response that comes later is ignored. */
  readonly lateMs?: number
  /** A monotonic clock in milliseconds. */
  readonly now?: () => number
}

interface Known<S> {
  readonly session: S | undefined
  /** Lower versions are invalid; Infinity for a deleted person, whose id is never reused. */
  readonly least: number
  readonly askedAt: number
  readonly notedAt: number
  /** Responses to earlier queries may be older than a response that was evicted. */
  readonly since: number
}

export const createSessionMemory = <S extends VersionedSession>({
  freshMs,
  max = 20_000,
  lateMs = 10_000,
  now = () => performance.now(),
}: SessionMemoryOptions): SessionMemory<S> => {
  /** In the order of the last response about each. */
  const people = new Map<number, Known<S>>()
  let forgottenAt = -Infinity

  const keep = (id: number, known: Known<S>): void => {
    people.delete(id)
    people.set(id, known)
    if (people.size <= max) return
    const [oldest] = people
    if (!oldest) return
    people.delete(oldest[0])
    // An older response about this person may still be on its way, and would be taken for the last one.
    if (now() - oldest[1].notedAt <= lateMs) forgottenAt = now()
  }

  return {
    note: (id, session, askedAt) => {
      const known = people.get(id)
      const notedAt = now()
      const least = Math.max(known?.least ?? -Infinity, session?.session_version ?? Infinity)
      const since = known?.since ?? forgottenAt
      const trusted = notedAt - askedAt <= lateMs && askedAt > since
      const newest = session?.session_version === least && trusted && (known?.session === undefined || askedAt >= known.askedAt)
      const kept = known?.session?.session_version === least ? known : undefined
      if (newest) keep(id, { session, least, askedAt, notedAt, since })
      else keep(id, { session: kept?.session, least, askedAt: kept?.askedAt ?? askedAt, notedAt, since })
    },
    recall: (id, version) => {
      const known = people.get(id)
      if (known?.session?.session_version !== version || now() - known.askedAt > freshMs) return undefined
      return known.session
    },
    size: () => people.size,
  }
}
