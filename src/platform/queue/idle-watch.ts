import type { Logger } from 'pino'

const lookEveryMs = 5_000
const stuckAfterMs = 30_000

export interface IdleWatch {
  /** A job was taken, or ended. */
  moved(): void
  /** For how long nothing was taken while jobs wait; 0 until that is too long. */
  stuckSeconds(): number
  close(): void
}

export interface IdleWatchOptions {
  readonly queue: string
  /** Whether jobs are ready for a consumer. */
  readonly waits: () => Promise<boolean>
  readonly log: Pick<Logger, 'info' | 'error'>
}

/**
 * Detects a consumer that takes no job while jobs wait, for any reason: a working connection without errors does not prove that
 * it works.
 */
export const watchIdleness = ({ queue, waits, log }: IdleWatchOptions): IdleWatch => {
  let since: number | undefined
  let told = false
  const seconds = () => {
    const ms = since === undefined ? 0 : performance.now() - since
    return ms < stuckAfterMs ? 0 : Math.round(ms / 1_000)
  }
  const moved = () => {
    since = undefined
    if (told) log.info({ queue }, 'queue: the consumer is processing jobs again')
    told = false
  }
  const check = async () => {
    // Unknown while the queue is down: that has its own log line.
    const some = await waits().catch(() => undefined)
    if (some === false) moved()
    if (!some) return
    since ??= performance.now()
    if (told || seconds() === 0) return
    told = true
    log.error({ queue, seconds: seconds() }, 'queue: the consumer is stuck while jobs wait')
  }
  const timer = setInterval(() => void check(), lookEveryMs).unref()
  return { moved, stuckSeconds: seconds, close: () => clearInterval(timer) }
}
