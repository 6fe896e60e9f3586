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
  /** Whether jobs wait that a consumer would take now. */
  readonly waits: () => Promise<boolean>
  readonly log: Pick<Logger, 'info' | 'error'>
}

/**
 * Notices a consumer that takes nothing while jobs wait, for whatever reason: that it is connected, and nothing fails, does not
 * mean that it works.
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
    // Unknown while the transport is away: that has a line of its own.
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
