/** Deliveries yield to requests: limits them to one at a time for all consumers of this process, while a request is in flight. */
export interface DeliveryLimiter {
  /** How many of `most` deliveries a consumer should take from its queue now. */
  concurrency(most: number): number
  /** Runs `work` in its turn, or at once if no request is in flight. */
  run<T>(work: () => Promise<T>): Promise<T>
}

const lookAtLoadMs = 100
/** A delivery that takes longer waits for something else, such as a provider, and uses no CPU here. */
const longestTurnMs = 1000
/**
 * While requests are in flight, each delivery is followed by an equally long pause, up to this: half of the time belongs to
 * requests.
 */
const longestRestMs = 50

/** First come, first served. */
export const createDeliveryLimiter = (busy: () => boolean): DeliveryLimiter => {
  let running = 0
  const waiting: (() => void)[] = []
  let looking: NodeJS.Timeout | undefined

  const admit = () => {
    while (waiting.length > 0 && (running === 0 || !busy())) {
      running++
      waiting.shift()?.()
    }
    if (waiting.length > 0) looking ??= setInterval(admit, lookAtLoadMs)
    else {
      clearInterval(looking)
      looking = undefined
    }
  }

  return {
    concurrency: (most) => (busy() ? 1 : most),
    run: async (work) => {
      await new Promise<void>((resolve) => {
        waiting.push(resolve)
        admit()
      })
      let held = true
      const giveBack = () => {
        if (!held) return
        held = false
        running--
        admit()
      }
      const started = performance.now()
      const timer = setTimeout(giveBack, longestTurnMs)
      try {
        return await work()
      } finally {
        clearTimeout(timer)
        if (busy()) setTimeout(giveBack, Math.min(performance.now() - started, longestRestMs))
        else giveBack()
      }
    },
  }
}
