/** A token is valid for one version of its person's session. */
export interface VersionedSession {
  readonly session_version: number
}

/**
 * The last answers about people's sessions, for the time when nobody answers. An answer that revokes is final: what was once
 * seen changed or gone is never recalled again, in whatever order the answers come.
 */
export interface SessionMemory<S extends VersionedSession> {
  /** @param session undefined where there is none any more @param askedAt when the question was sent, by `now` */
  note(id: number, session: S | undefined, askedAt: number): void
  /** The session that a token of this version had, where an answer that is fresh enough said so and none spoke against it. */
  recall(id: number, version: number): S | undefined
  size(): number
}

export interface SessionMemoryOptions {
  /** How long an answer may be recalled, from the question on. */
  readonly freshMs: number
  /** The most people kept; those whose last answer is oldest are dropped. */
  readonly max?: number
  /** Longer than any question takes: an answer that comes later than this is not kept. */
  readonly lateMs?: number
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number
}

interface Known<S> {
  readonly session: S | undefined
  /** No version below it is good any more; Infinity for somebody who is gone, whose id nobody gets again. */
  readonly least: number
  readonly askedAt: number
  readonly notedAt: number
  /** Answers to questions from before it may be older than one that was forgotten. */
  readonly since: number
}

export const createSessionMemory = <S extends VersionedSession>({
  freshMs,
  max = 20_000,
  lateMs = 10_000,
  now = () => performance.now(),
}: SessionMemoryOptions): SessionMemory<S> => {
  /** In the order of the last answer about each. */
  const people = new Map<number, Known<S>>()
  let forgottenAt = -Infinity

  const keep = (id: number, known: Known<S>): void => {
    people.delete(id)
    people.set(id, known)
    if (people.size <= max) return
    const [oldest] = people
    if (!oldest) return
    people.delete(oldest[0])
    // An older answer about this person may still be on its way, and would be taken for the last one.
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
