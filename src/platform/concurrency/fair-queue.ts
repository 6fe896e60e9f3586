/** A piece of work that blocks the event loop for milliseconds. */
export interface Work {
  /** The client: clients take turns. */
  readonly client: string
  /** Memory that it holds while it waits. */
  readonly bytes: number
  /** Nobody waits for it any more. */
  readonly gone: () => boolean
  readonly run: () => void
  /** Called instead of `run` if it is gone, or too much waits. */
  readonly drop: () => void
}

export interface FairQueueOptions {
  readonly mostBytes: number
  /** For tests. */
  readonly nextTurn?: (step: () => void) => void
}

export type FairQueue = ReturnType<typeof createFairQueue>

const sumOf = (works: readonly Work[]): number => works.reduce((sum, { bytes }) => sum + bytes, 0)

/**
 * Runs one piece of work per iteration of the event loop, so that many pieces do not add up to one stall: first in first out per
 * client, and round robin over the clients. Abandoned work takes no turn. If more than `mostBytes` would wait, the client with
 * most of them loses its newest (longest queue drop, as in fair queueing), so that one client cannot fill the queue.
 */
export const createFairQueue = ({ mostBytes, nextTurn = setImmediate }: FairQueueOptions) => {
  /** In the order of their turns; none is empty. */
  const clients = new Map<string, Work[]>()
  let bytes = 0
  let scheduled = false

  const forget = (gone: readonly Work[]) => {
    bytes -= sumOf(gone)
    for (const { drop } of gone) drop()
  }

  const dropGone = () => {
    for (const [client, works] of clients) {
      const { left = [], gone = [] } = Object.groupBy(works, (work) => (work.gone() ? 'gone' : 'left'))
      if (left.length === 0) clients.delete(client)
      else clients.set(client, left)
      forget(gone)
    }
  }

  const dropNewest = () => {
    const [most] = [...clients].sort(([, a], [, b]) => sumOf(b) - sumOf(a))
    if (!most) return
    const [client, works] = most
    forget(works.splice(-1))
    if (works.length === 0) clients.delete(client)
  }

  const take = (): Work | undefined => {
    for (const [client, works] of clients) {
      clients.delete(client)
      const work = works.shift()
      if (works.length > 0) clients.set(client, works)
      if (!work?.gone()) return work
      forget([work])
    }
    return undefined
  }

  const step = () => {
    const work = take()
    bytes -= work?.bytes ?? 0
    try {
      work?.run()
    } finally {
      scheduled = clients.size > 0
      if (scheduled) nextTurn(step)
    }
  }

  return {
    add: (work: Work): void => {
      const works = clients.get(work.client)
      if (works) works.push(work)
      else clients.set(work.client, [work])
      bytes += work.bytes
      if (bytes > mostBytes) dropGone()
      while (bytes > mostBytes) dropNewest()
      if (!scheduled) nextTurn(step)
      scheduled = true
    },
    /** How many pieces wait. */
    waiting: (): number => [...clients.values()].reduce((sum, works) => sum + works.length, 0),
  }
}
