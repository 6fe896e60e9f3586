import closeWithGrace from 'close-with-grace'
import type { Logger } from 'pino'

const signals = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const

interface StopOptions {
  /** Maximum duration of a shutdown; then the process exits. */
  readonly delayMs: number
  readonly log: Logger
  readonly stop: () => Promise<void>
}

/**
 * Calls `work` only at the first signal. One Ctrl-C often arrives twice: from the terminal, which sends it to the whole process
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

/** Shuts the process down gracefully at a signal, or when it fails. */
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
