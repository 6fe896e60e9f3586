import type { BackendFactory, IQueueBackend } from 'bullmq'
import type { Logger } from 'pino'

/** `id` is the id of the event (uuid v7); it becomes the id of the job, so a message is queued at most once. */
export interface QueueMessage {
  readonly id: string
  readonly payload: Record<string, unknown>
}

export type DeliveryState = 'pending' | 'completed' | 'failed' | 'missing'

/** The differences between Redis and PostgreSQL below the queues. */
export interface QueueBackend {
  readonly backend: 'redis' | 'postgres'
  /** Gives BullMQ its connections; the `connection` option of its classes is ignored. */
  readonly factory: BackendFactory<IQueueBackend, object>
  readonly keyPrefix?: string | undefined
  /** Maximum completed jobs to keep, if counting them is cheap. */
  readonly keepCompleted?: number
  /** How long a consumer or a listener blocks before it polls by itself. */
  readonly pollMs: number
  nameOf(queue: string): string
  states(queue: string, ids: readonly string[]): Promise<Map<string, DeliveryState>>
  /** Whether jobs of the queue are ready for a consumer, or overdue. */
  waits(queue: string): Promise<boolean>
  /** Jobs that this process is about to add, if `completions` must know them. */
  expect?(queue: string, ids: readonly string[]): void
  /** Calls `tell` with the id of each job that completes, perhaps more than once. Returns how to stop. */
  completions(queue: string, tell: (id: string) => void, complain: (error: Error) => void): Promise<() => Promise<void>>
  /** Waits for a new worker that cannot start by itself later. */
  started(one: { waitUntilReady(): Promise<void> }): Promise<void>
  up(): boolean
  onUp(listener: () => void): void
  close(): Promise<void>
}

export interface QueueBackendOptions {
  url: string
  prefix?: string | undefined
  log: Pick<Logger, 'info' | 'warn' | 'error'>
}

/** A delayed job counts as waiting when it is overdue by this much. */
export const overdueMs = 5_000

/** Logs one line when a server goes down and one when it is up again. */
export const createAvailability = (what: string, log: QueueBackendOptions['log']) => {
  let since: number | undefined
  const listeners: (() => void)[] = []
  return {
    onUp: (listener: () => void) => void listeners.push(listener),
    down: (error?: unknown) => {
      if (since !== undefined) return
      since = Date.now()
      log.warn({ err: error }, 'queue: %s is down', what)
    },
    up: () => {
      if (since === undefined) return
      log.info({ awayMs: Date.now() - since }, 'queue: %s is up', what)
      since = undefined
      for (const listener of listeners) listener()
    },
    isUp: () => since === undefined,
  }
}
