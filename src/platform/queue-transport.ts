import type { BackendFactory, IQueueBackend } from 'bullmq'
import type { Logger } from 'pino'

export type DeliveryState = 'pending' | 'completed' | 'failed' | 'missing'

/** What Redis and PostgreSQL do differently below the queues. */
export interface Transport {
  readonly backend: 'redis' | 'postgres'
  /** Gives BullMQ its connections; the `connection` option of its classes is ignored. */
  readonly factory: BackendFactory<IQueueBackend, object>
  readonly keyPrefix?: string | undefined
  /** The most completed jobs to keep, where counting them is cheap. */
  readonly keepCompleted?: number
  /** How long a consumer or a listener blocks before it looks again by itself. */
  readonly pollMs: number
  nameOf(queue: string): string
  states(queue: string, ids: readonly string[]): Promise<Map<string, DeliveryState>>
  /** Waits for a new worker or listener where it cannot start by itself later. */
  started(one: { waitUntilReady(): Promise<void> }): Promise<void>
  up(): boolean
  close(): Promise<void>
}

export interface TransportOptions {
  url: string
  prefix?: string | undefined
  log: Pick<Logger, 'info' | 'warn' | 'error'>
}

/** Waits at most `ms` for work whose result and failure do not matter. */
export const within = async (ms: number, work: Promise<unknown>): Promise<void> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([work.then(() => {}).catch(() => {}), late])
  clearTimeout(timer)
}

const awayCodes = new Set([
  ...[
    'ECONNREFUSED',
    'ECONNRESET',
    'ECONNABORTED',
    'EPIPE',
    'ETIMEDOUT',
    'ENOTFOUND',
    'EAI_AGAIN',
    'EHOSTUNREACH',
    'ENETUNREACH',
  ],
  ...['57P01', '57P02', '57P03', '53300'],
])
const awayText =
  /connection (is closed|terminated|timeout)|timeout exceeded when trying to connect|query read timeout|socket timeout/i

/** True for an error that says that the server could not be reached, not that it refused the work. */
export const isAway = (error: unknown): boolean => {
  if (error instanceof AggregateError && error.errors.some(isAway)) return true
  if (!(error instanceof Error)) return false
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return awayCodes.has(code) || code.startsWith('08') || awayText.test(error.message)
}

/** Logs one line when a server goes away and one when it is back. */
export const createPresence = (what: string, log: TransportOptions['log']) => {
  let since: number | undefined
  return {
    away: (error?: unknown) => {
      if (since !== undefined) return
      since = Date.now()
      log.warn({ err: error }, 'queue: %s is away', what)
    },
    back: () => {
      if (since === undefined) return
      log.info({ awayMs: Date.now() - since }, 'queue: %s is back', what)
      since = undefined
    },
    isUp: () => since === undefined,
  }
}
