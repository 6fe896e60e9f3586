import type { Actor } from '../context.ts'

/** One request that was refused. */
export interface Refusal {
  /** Epoch milliseconds. */
  readonly at: number
  readonly actor: Actor
  /** Tells clients apart without saying where they are. */
  readonly client: string
  /** Method and route. */
  readonly action: string
  readonly resource: { readonly type: string; readonly id: string | null }
  readonly code: string
  readonly status: number
  readonly traceparent: string
}

/**
 * Refusals of one kind as one: the first of them, how many there were, and when the last was. The resource has an id where
 * all had the same.
 */
export interface Counted {
  readonly first: Refusal
  readonly count: number
  readonly lastAt: number
}

export interface Bursts {
  /** Counts a refusal; answers it when it is to be written at once. `room`: whether it could be. */
  add(refusal: Refusal, room: boolean): Counted | undefined
  /** The sums whose time is over, at most `limit`; with `now` as Infinity all that there are. */
  due(now: number, limit: number): Counted[]
}

export interface BurstsOptions {
  /** How long refusals of a kind are summed, in milliseconds. */
  readonly windowMs?: number
  /** Kinds told apart at once, at the most. */
  readonly maxKinds?: number
}

const kindOf = ({ actor, client, action, code }: Refusal): string => JSON.stringify([actor.type, actor.id, client, action, code])

/** What all have in common that are too many to tell apart. */
const asOther = (refusal: Refusal): Refusal => ({
  ...refusal,
  actor: { type: 'anonymous', id: null },
  client: 'other',
  action: 'other',
  resource: { type: 'other', id: null },
  code: 'other',
})

/**
 * The first refusal of a kind (who, from where, route and code) is one of its own; those of the next seconds are summed.
 * Beyond `maxKinds`, and when there is no room, refusals count as `other`, one kind for each status: none is left out.
 */
export const createBursts = ({ windowMs = 10_000, maxKinds = 1000 }: BurstsOptions = {}): Bursts => {
  const kinds = new Map<string, { until: number; sum: Counted | undefined }>()

  return {
    add: (refusal, room) => {
      const own = kindOf(refusal)
      const other = !kinds.has(own) && (!room || kinds.size >= maxKinds)
      const counted = other ? asOther(refusal) : refusal
      const kind = other ? `other ${refusal.status}` : own
      const known = kinds.get(kind)
      if (known) {
        const { first = counted, count = 0 } = known.sum ?? {}
        const { type, id } = first.resource
        const resource = { type, id: id === counted.resource.id ? id : null }
        known.sum = { first: { ...first, resource }, count: count + 1, lastAt: refusal.at }
        return undefined
      }
      const alone: Counted = { first: counted, count: 1, lastAt: refusal.at }
      kinds.set(kind, { until: refusal.at + windowMs, sum: room ? undefined : alone })
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
