import closeWithGrace from 'close-with-grace'
import type { Logger } from 'pino'

const signals = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const

interface StopOptions {
  /** The longest that a stop may take; then the process ends as it is. */
  readonly delayMs: number
  readonly log: Logger
  readonly stop: () => Promise<void>
}

/**
 * Calls `work` at the first signal alone. One Ctrl-C often comes twice: from the terminal, which sends it to the whole process
 * group, and from npm or `node --watch`, which pass it on.
 */
export const onFirstSignal = (work: (signal: string) => void): void => {
  let come = false
  const first = (signal: string) => {
    if (come) return
    come = true
    work(signal)
  }
  for (const signal of signals) process.on(signal, first)
}

/** Ends the process in order at a signal, or when it fails. */
export const stopOnSignal = ({ delayMs, log, stop }: StopOptions): void => {
  let signal: string | undefined
  const { close } = closeWithGrace({ delay: delayMs, logger: log as never, skip: [...signals] }, async ({ err }) => {
    if (err) log.fatal({ err }, 'stopping after an uncaught error')
    else log.info({ ...(signal ? { signal } : {}) }, 'stopping')
    await stop()
    log.info('stopped')
  })
  onFirstSignal((name) => {
    signal = name
    close()
  })
}
