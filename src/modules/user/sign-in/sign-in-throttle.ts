import type { Logger } from 'pino'
import { Failure } from '../../../platform/errors.ts'
import { networkOf } from '../../../platform/http/client-network.ts'
import { fail } from '../errors.ts'
import type { AttemptRepository } from './attempt-repository.ts'

/** Failed attempts within the window. */
const perAccount = 10
const perAddress = 100
const mailsPerAccount = 3
const registrationsPerAddress = 100

const pruneEveryMs = 3_600_000

/** Errors that mean a wrong guess; whatever else happens is not held against anybody. */
const guesses: readonly string[] = ['auth.invalid_credentials', 'auth.invalid_otp']

export interface SignInThrottleOptions {
  readonly repository: AttemptRepository
  /** Keyed: the table must not tell addresses. */
  readonly keyOf: (text: string) => Buffer
  readonly log: Logger
}

export type SignInThrottle = ReturnType<typeof createSignInThrottle>

/**
 * Limits guesses by account and by the client's address, for all processes together. An attempt counts before it is made,
 * so that many at once are not more than one after the other, and is taken back where it was no wrong guess. Accounts that
 * do not exist are counted like others.
 */
export const createSignInThrottle = ({ repository, keyOf, log }: SignInThrottleOptions) => {
  const ofAddress = (address: string): Buffer => keyOf(`address:${networkOf(address)}`)
  const ofMail = (email: string): Buffer => keyOf(`mail:${email}`)
  const ofRegistrations = (address: string): Buffer => keyOf(`registrations:${networkOf(address)}`)
  let pruning: NodeJS.Timeout | undefined

  return {
    keyOf,

    /** @throws auth.too_many_attempts with the seconds to wait, and what `run` throws */
    attempt: async <T>(account: Buffer, address: string, run: () => Promise<T>): Promise<T> => {
      const wait = await repository.take(account, ofAddress(address), { perAccount, perAddress })
      if (wait !== undefined) throw fail('auth.too_many_attempts', { retry_after: wait })
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

    /** Forgets what was counted for this address: the person is gone. */
    forget: async (email: string): Promise<void> => {
      await Promise.all([repository.clear(keyOf(email)), repository.clear(ofMail(email))])
    },

    /** Whether one more e-mail may go to this address on the client's word. */
    mayMail: async (email: string, address: string): Promise<boolean> => {
      const wait = await repository.take(ofMail(email), ofAddress(address), { perAccount: mailsPerAccount, perAddress })
      if (wait === undefined) await repository.count(ofAddress(address))
      return wait === undefined
    },

    /** Counts a registration, which sends a mail. @throws auth.too_many_attempts with the seconds to wait */
    register: async (email: string, address: string): Promise<void> => {
      const network = ofRegistrations(address)
      const wait = await repository.take(ofMail(email), network, {
        perAccount: mailsPerAccount,
        perAddress: registrationsPerAddress,
      })
      if (wait !== undefined) throw fail('auth.too_many_attempts', { retry_after: wait })
      await repository.count(network)
    },

    /** Has attempts and tokens that have run out forgotten from time to time, until `close`. */
    start: (): void => {
      const prune = () =>
        repository.prune().catch((error) => log.warn({ err: error }, 'deleting expired sign-in records failed; will retry'))
      pruning = setInterval(prune, pruneEveryMs).unref()
    },
    close: (): void => clearInterval(pruning),
  }
}
