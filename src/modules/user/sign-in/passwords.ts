import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import type { Options } from '@node-rs/argon2'
import { BulkheadRejectedError, bulkhead } from 'cockatiel'
import { forms } from '../../../platform/normal-form.ts'
import { fail } from '../errors.ts'

/** argon2id (RFC 9106) with OWASP's parameters: 19 MiB, two passes, one lane. */
const parameters: Options = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 }

/** Seconds after which to retry when the queue was full. */
const retryAfter = 2

export interface PasswordOptions {
  /** Concurrent hashes: one core stays free for everything else, because the thread pool also handles files and name look-ups. */
  readonly concurrency?: number
  /** Maximum waiting hashes. */
  readonly queue?: number
}

export type Passwords = ReturnType<typeof createPasswords>

const { normal } = forms.password

/** Several megabytes, loaded when somebody first signs in. */
const load = () => import('@node-rs/argon2')

/** Hashes passwords, a few at a time (a bulkhead). Each of its functions throws auth.busy when too many wait. */
export const createPasswords = ({ concurrency = Math.max(1, availableParallelism() - 1), queue = 64 }: PasswordOptions = {}) => {
  const createGate = () => {
    const gate = bulkhead(concurrency, queue)
    return async <T>(work: () => Promise<T>): Promise<T> => {
      try {
        return await gate.execute(work)
      } catch (error) {
        throw error instanceof BulkheadRejectedError ? fail('auth.busy', { retry_after: retryAfter }) : error
      }
    }
  }
  const hashBulkhead = createGate()
  let dummy: Promise<string> | undefined

  return {
    /** As many concurrent sign-ins as hashes: a crowd waits here, and not for the database that other requests need too. */
    signInBulkhead: createGate(),

    /** In PHC form. */
    hash: (password: string): Promise<string> => hashBulkhead(async () => (await load()).hash(normal(password), parameters)),

    /** Takes as long for a person without a password, or for an unknown one. */
    matches: (stored: string | null, password: string): Promise<boolean> =>
      hashBulkhead(async () => {
        const { hash, verify } = await load()
        dummy ??= hash(randomBytes(32), parameters)
        const right = await verify(stored ?? (await dummy), normal(password))
        return right && stored !== null
      }),
  }
}
