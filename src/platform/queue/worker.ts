import { type Job, Worker } from 'bullmq'
import { endsWithin } from '../concurrency/deadline.ts'
import { jitteredBackoff, type Pauses } from '../concurrency/retry.ts'
import type { QueueBackend, QueueMessage } from './backend.ts'
import type { IdleWatch } from './idle-watch.ts'

export interface Delivery {
  readonly message: QueueMessage
  /** 1 on the first attempt. A crash of the worker is not counted as an attempt. */
  readonly attempt: number
  readonly lastAttempt: boolean
}

export interface Concurrency {
  /** Maximum concurrent handlers. */
  readonly concurrency: number
  /** How many of them to use now; called repeatedly. */
  readonly limit?: (concurrency: number) => number
}

const lookAtLoadMs = 100
const handlersEndWithinMs = 5_000

/** Runs `handler` for the jobs of a queue until `close`, which waits a few seconds for running handlers. Times in ms. */
export const startWorker = async (
  transport: QueueBackend,
  queue: string,
  handler: (delivery: Delivery) => Promise<void>,
  options: Concurrency &
    Pauses & {
      lockMs: number
      stalledMs: number
      watch: IdleWatch
      complain: (error: Error) => void
    },
): Promise<{ close(): Promise<void> }> => {
  const running = new Set<Promise<void>>()
  const run = async (job: Job<Record<string, unknown>>) => {
    options.watch.moved()
    const attempt = job.attemptsMade + 1
    const work = handler({
      message: { id: job.id ?? '', payload: job.data },
      attempt,
      lastAttempt: attempt >= (job.opts.attempts ?? 1),
    })
    running.add(work)
    await work.finally(() => {
      running.delete(work)
      options.watch.moved()
    })
  }
  const worker = new Worker(
    transport.nameOf(queue),
    run,
    {
      connection: {},
      ...(transport.keyPrefix && { prefix: transport.keyPrefix }),
      concurrency: options.concurrency,
      lockDuration: options.lockMs,
      // A worker that checks locks out the others for one interval, so two intervals can pass between two checks.
      stalledInterval: Math.max(1, Math.floor(options.stalledMs / 2)),
      maxStalledCount: 1_000_000,
      drainDelay: transport.pollMs / 1_000,
      runRetryDelay: 500,
      settings: { backoffStrategy: (attempt) => jitteredBackoff(attempt, options) },
    },
    transport.factory,
  )
  worker.on('error', options.complain)
  const adjusting = setInterval(() => {
    worker.concurrency = options.limit?.(options.concurrency) ?? options.concurrency
  }, lookAtLoadMs).unref()
  const close = async () => {
    clearInterval(adjusting)
    options.watch.close()
    const deadline = Date.now() + handlersEndWithinMs
    const late = () => Date.now() > deadline || (running.size === 0 && !transport.up())
    // When the queue is down, a plain close would wait for ever, and a forced one would not let handlers end.
    while (!transport.up() && !late()) await endsWithin(50, Promise.allSettled(running))
    let closed = false
    const closing = worker.close(!transport.up()).finally(() => {
      closed = true
    })
    do await endsWithin(100, closing)
    while (!closed && !late())
    // biome-ignore lint/complexity/useLiteralKeys: it is protected, and its timer would keep the process alive
    if (!closed) await worker['lockManager'].close()
  }
  await transport.started(worker).catch(async (error: unknown) => {
    await close()
    throw error
  })
  return { close }
}
