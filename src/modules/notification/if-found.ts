import { Failure } from '../../platform/errors.ts'

/** The answer about a user, or undefined when they are gone; rejects when the user service does not answer. */
export const ifFound = <T>(answer: Promise<T>): Promise<T | undefined> =>
  answer.catch((error) => {
    if (error instanceof Failure && error.code === 'user.not_found') return undefined
    throw error
  })
