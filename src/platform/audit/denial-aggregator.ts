import type { Actor } from '../context.ts'

/** One request that is on the trail for itself: it was refused, or it showed somebody's personal data. */
export interface Access {
  /** Epoch milliseconds. */
  readonly at: number
  readonly actor: Actor
  /** Tells clients apart without saying where they are. */
  readonly client: string
  /** Method and route of what was refused, as `GET /api/v1/orders/:id`, or `personal_data.read`. */
  readonly action: string
  readonly decision: 'approved' | 'denied'
  readonly resource: { readonly type: string; readonly id: string | null }
  /** Accesses to another resource are of another kind; otherwise the sum names it where all had the same. */
  readonly apart: boolean
  /** What is the same for the whole kind: code and status of a refusal, route of a read. */
  readonly facts: Readonly<Record<string, string | number>>
  /** The persons whose data was shown, where there may be several. */
  readonly subjects: readonly string[]
  readonly traceparent: string
}

/**
 * Accesses of one kind as one: the first of them, how many there were, and when the last was. The resource has an id where
 * all had the same; the subjects are those of all.
 */
export interface Counted {
  readonly first: Access
  readonly count: number
  readonly lastAt: number
}

export interface DenialAggregator {
  /** Counts an access; returns it when it is to be written at once. `room`: whether it could be. */
  add(access: Access, room: boolean): Counted | undefined
  /** The sums whose time is over, at most `limit`; with `now` as Infinity all that there are. */
  due(now: number, limit: number): Counted[]
}

export interface DenialAggregatorOptions {
  /** How long accesses of a kind are summed, in milliseconds. */
  readonly windowMs?: number
  /** Kinds told apart at once, at most. */
  readonly maxKinds?: number
}

/** Persons that one entry names, at most: two full pages of a list. */
const mostSubjects = 200

const kindOf = ({ actor, client, action, facts, apart, resource }: Access): string =>
  JSON.stringify([actor.type, actor.id, client, action, facts, apart ? resource : null])

/** What all have in common that are too many to tell apart. Who has read personal data stays known. */
const asOther = (access: Access): Access => {
  const other = { ...access, client: 'other', resource: { type: 'other', id: null }, apart: false, subjects: [] }
  if (access.decision === 'approved') return { ...other, facts: { route: 'other' } }
  return { ...other, actor: { type: 'anonymous', id: null }, action: 'other', facts: { ...access.facts, code: 'other' } }
}

const merged = (sum: Counted | undefined, access: Access): Counted => {
  if (!sum) return { first: access, count: 1, lastAt: access.at }
  const { first, count } = sum
  const { type, id } = first.resource
  const resource = { type, id: id === access.resource.id ? id : null }
  const subjects = [...new Set([...first.subjects, ...access.subjects])].slice(0, mostSubjects)
  return { first: { ...first, resource, subjects }, count: count + 1, lastAt: access.at }
}

/**
 * The first access of a kind (who, from where, route and code) is one of its own; those of the next seconds are summed.
 * Beyond `maxKinds`, and when there is no room, refusals count as `other`, one kind for each status, and reads as one kind
 * for each reader: none is left out.
 */
export const createDenialAggregator = ({
  windowMs = 10_000,
  maxKinds = 1000,
}: DenialAggregatorOptions = {}): DenialAggregator => {
  const kinds = new Map<string, { until: number; sum: Counted | undefined }>()

  return {
    add: (access, room) => {
      const own = kindOf(access)
      const other = !kinds.has(own) && (!room || kinds.size >= maxKinds)
      const counted = other ? asOther(access) : access
      const kind = other ? kindOf(counted) : own
      const known = kinds.get(kind)
      if (known) {
        known.sum = merged(known.sum, counted)
        return undefined
      }
      const alone = merged(undefined, counted)
      kinds.set(kind, { until: access.at + windowMs, sum: room ? undefined : alone })
      return room ? alone : undefined
    },

    due: (now, limit) => {
      const sums: Counted[] = []
      for (const [kind, { until, sum }] of kinds) {
        if (until > now || (sum && sums.length >= limit)) continue
        if (sum) sums.push(sum)
        // It goes on being summed for as long as it goes on.
        if (sum && now < Number.POSITIVE_INFINITY) kinds.set(kind, { until: now + windowMs, sum: undefined })
        else kinds.delete(kind)
      }
      return sums
    },
  }
}
