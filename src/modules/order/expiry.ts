import type { Logger } from 'pino'
import { type Background, createBackground } from '../../platform/concurrency/background.ts'
import { serviceContext } from '../../platform/context.ts'
import { newEvent } from '../../platform/events/event.ts'
import { orderContract } from './contract.ts'
import type { ExpiryRepository } from './expiry-repository.ts'

export interface ExpiryOptions {
  readonly repository: ExpiryRepository
  /** How long an order may stay pending. */
  readonly ttlMs: number
  readonly log: Logger
}

const atOnce = 100
/** Checks after a tenth of the time, within these bounds. */
const everyMs = { least: 1000, most: 60_000 }

/** Cancels pending orders that have expired, and gives their stock back. Safe to run in several processes. */
export const createExpiry = ({ repository, ttlMs, log }: ExpiryOptions): Background => {
  const pauseMs = Math.min(Math.max(ttlMs / 10, everyMs.least), everyMs.most)

  const expireAll = async (signal: AbortSignal): Promise<void> => {
    let expired = atOnce
    while (expired === atOnce && !signal.aborted) {
      const context = serviceContext('order', 10_000)
      expired = await repository.expire(
        ttlMs,
        Array.from({ length: atOnce }, () => newEvent(orderContract, 'order.cancelled', context, { reason: 'expired' })),
      )
      if (expired === 0) return
      log.info({ orders: expired }, 'pending orders expired and were cancelled')
    }
  }

  return createBackground(async (signal) => {
    await expireAll(signal).catch((error) => {
      if (!signal.aborted) log.warn({ err: error }, 'expiring pending orders failed; will retry')
    })
    return pauseMs
  })
}
