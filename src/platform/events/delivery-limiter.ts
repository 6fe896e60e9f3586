/** One delivery at a time for all consumers of this process, while somebody waits for an answer of it. */
export interface DeliveryLimiter {
  readonly busy: () => boolean
  /** Runs `work` when it is its turn: at once where nobody waits for an answer. */
  run<T>(work: () => Promise<T>): Promise<T>
}

const lookAtLoadMs = 100
/** A delivery that takes longer waits for somebody else, as for a provider, and costs this process nothing. */
const longestTurnMs = 1000
/** While somebody waits, a delivery is followed by a pause as long as it took, and no longer than this: half of the time is theirs. */
const longestRestMs = 50

/** Turns go in the order in which they were asked for. */
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
    busy,
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
