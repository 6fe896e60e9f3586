import { Failure } from '../../platform/errors.ts'

/** The result for a user, or undefined if they are gone; rejects if the user service does not respond. */
export const ifFound = <T>(answer: Promise<T>): Promise<T | undefined> =>
  answer.catch((error) => {
    if (error instanceof Failure && error.code === 'user.not_found') return undefined
    throw error
  })
