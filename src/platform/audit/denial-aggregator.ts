import type { Actor } from '../context.ts'

/** One request that belongs on the trail: it was denied, or it showed somebody's personal data. */
export interface Access {
  /** Epoch milliseconds. */
  readonly at: number
  readonly actor: Actor
  /** Tells clients apart without revealing their address. */
  readonly client: string
  /** Method and route of the denial, such as `GET /api/v1/orders/:id`, or `personal_data.read`. */
  readonly action: string
  readonly decision: 'approved' | 'denied'
  readonly resource: { readonly type: string; readonly id: string | null }
  /** Different resources are different kinds; otherwise the entry names the resource only if all had the same. */
  readonly apart: boolean
  /** Common to the whole kind: code and status of a denial, route of a read. */
  readonly facts: Readonly<Record<string, string | number>>
  /** The persons whose data was shown, if there may be several. */
  readonly subjects: readonly string[]
  readonly traceparent: string
}

/**
 * Aggregated accesses of one kind: the first one, their number, and the time of the last. The resource has an id if all had the
 * same; the subjects are those of all.
 */
export interface Counted {
  readonly first: Access
  readonly count: number
  readonly lastAt: number
}

export interface DenialAggregator {
  /** Counts an access; returns it if it is to be recorded at once. `room`: whether there is room for it. */
  add(access: Access, room: boolean): Counted | undefined
  /** The aggregates whose window has ended, at most `limit`; with `now` as Infinity, all. */
  due(now: number, limit: number): Counted[]
}

export interface DenialAggregatorOptions {
  /** Length of the window for accesses of a kind, in milliseconds. */
  readonly windowMs?: number
  /** Maximum number of kinds at once. */
  readonly maxKinds?: number
}

/** Maximum persons per entry: two full pages of a list. */
const mostSubjects = 200

const kindOf = ({ actor, client, action, facts, apart, resource }: Access): string =>
  JSON.stringify([actor.type, actor.id, client, action, facts, apart ? resource : null])

/** Common fields of accesses that are too many to tell apart. The reader of personal data stays known. */
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
 * The first access of a kind (who, from where, route and code) is returned at once; those of the next seconds are aggregated.
 * Beyond `maxKinds`, or without room, denials are counted as `other`, one kind for each status, and reads as one kind for each
 * reader: every access is counted.
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
        // A new window begins as long as accesses continue.
        if (sum && now < Number.POSITIVE_INFINITY) kinds.set(kind, { until: now + windowMs, sum: undefined })
        else kinds.delete(kind)
      }
      return sums
    },
  }
}
