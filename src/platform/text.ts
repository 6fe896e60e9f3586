import { fail } from './errors.ts'

const clean = (text: string): boolean => !text.includes('\0') && text.isWellFormed()

/**
 * Of the parameters of a path or a query. PostgreSQL cannot store a NUL, and UTF-8 cannot say a lone surrogate: either would
 * fail late, as a server's error. @throws Failure request.invalid_text
 */
export const assertCleanText = (parameters: unknown): void => {
  for (const [name, value] of Object.entries(parameters ?? {}))
    if (!clean(name) || !clean(String(value))) throw fail('request.invalid_text')
}
