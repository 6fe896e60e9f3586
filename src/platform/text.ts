import { fail } from './errors.ts'

/** PostgreSQL cannot store a NUL, and UTF-8 cannot say a lone surrogate: either would fail late, as a server's error. */
const clean = (value: unknown): boolean => {
  if (typeof value === 'string') return !value.includes('\0') && value.isWellFormed()
  if (typeof value !== 'object' || value === null) return true
  return Object.entries(value).every(([key, item]) => clean(key) && clean(item))
}

/** @throws Failure request.invalid_text */
export const assertCleanText = (value: unknown): void => {
  if (!clean(value)) throw fail('request.invalid_text')
}

/** JSON can say either only by an escape, so most bodies need no walk. */
export const mayHideText = (json: string): boolean => /\\u(0000|d[89a-f])/i.test(json)
