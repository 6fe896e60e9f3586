import type { Logger } from 'pino'
import { Failure } from '../../../platform/errors.ts'
import { networkOf } from '../../../platform/http/client-network.ts'
import { fail } from '../errors.ts'
import type { Attempt, AttemptRepository } from './attempt-repository.ts'

/** Failed attempts within the window. */
const perAccount = 10
const perAddress = 100
const mailsPerAccount = 3
const registrationsPerAddress = 100

const pruneEveryMs = 3_600_000

/** Errors that mean a wrong guess; other errors are not counted. */
const guesses: readonly string[] = ['auth.invalid_credentials', 'auth.invalid_otp']

/** @throws auth.too_many_attempts with the seconds to wait */
const assertCounted = (attempt: Attempt): void => {
  if (attempt.outcome === 'limited') throw fail('auth.too_many_attempts', { retry_after: attempt.retryAfter })
}

export interface SignInThrottleOptions {
  readonly repository: AttemptRepository
  /** Keyed: the table must not reveal addresses. */
  readonly keyOf: (text: string) => Buffer
  readonly log: Logger
}

export type SignInThrottle = ReturnType<typeof createSignInThrottle>

/**
 * Limits guesses by account and by the client's address, shared by all processes. An attempt is counted before it is made, so
 * that concurrent attempts have no advantage, and is taken back if it was not a wrong guess. Unknown accounts are counted in the
 * same way.
 */
export const createSignInThrottle = ({ repository, keyOf, log }: SignInThrottleOptions) => {
  const ofAddress = (address: string): Buffer => keyOf(`address:${networkOf(address)}`)
  const ofMail = (email: string): Buffer => keyOf(`mail:${email}`)
  const ofRegistrations = (address: string): Buffer => keyOf(`registrations:${networkOf(address)}`)
  let pruning: NodeJS.Timeout | undefined

  return {
    keyOf,

    /** @throws auth.too_many_attempts with the seconds to wait, and the errors of `run` */
    attempt: async <T>(account: Buffer, address: string, run: () => Promise<T>): Promise<T> => {
      assertCounted(await repository.take(account, ofAddress(address), { perAccount, perAddress }))
      try {
        const result = await run()
        await repository.clear(account)
        return result
      } catch (error) {
        if (error instanceof Failure && guesses.includes(error.code)) await repository.count(ofAddress(address))
        else await repository.giveBack(account)
        throw error
      }
    },

    /** Deletes the counters of this address: the person is gone. */
    forget: async (email: string): Promise<void> => {
      await Promise.all([repository.clear(keyOf(email)), repository.clear(ofMail(email))])
    },

    /** Whether one more e-mail may be sent to this address at an anonymous client's request. */
    mayMail: async (email: string, address: string): Promise<boolean> => {
      const { outcome } = await repository.take(ofMail(email), ofAddress(address), { perAccount: mailsPerAccount, perAddress })
      if (outcome === 'counted') await repository.count(ofAddress(address))
      return outcome === 'counted'
    },

    /** Counts a registration, which sends a mail. @throws auth.too_many_attempts with the seconds to wait */
    register: async (email: string, address: string): Promise<void> => {
      const network = ofRegistrations(address)
      const limits = { perAccount: mailsPerAccount, perAddress: registrationsPerAddress }
      assertCounted(await repository.take(ofMail(email), network, limits))
      await repository.count(network)
    },

    /** Deletes expired attempts and tokens from time to time, until `close`. */
    start: (): void => {
      const prune = () =>
        repository.prune().catch((error) => log.warn({ err: error }, 'deleting expired sign-in records failed; will retry'))
      pruning = setInterval(prune, pruneEveryMs).unref()
    },
    close: (): void => clearInterval(pruning),
  }
}
