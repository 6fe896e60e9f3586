import { readFileSync } from 'node:fs'
import type { TSchema } from 'typebox'
import { Environment } from '../environment.ts'

type Env = Readonly<Record<string, string | undefined>>

const properties: Record<string, TSchema & { secret?: boolean; readBy?: readonly string[] }> = Environment.properties

/** Keys that may also be given as the name of a file with the value: KEY_FILE. */
export const secretKeys: readonly string[] = Object.keys(properties).filter((key) => properties[key]?.secret)

/** The services that read a key, if not all do. */
export const readersOf = (key: string): readonly string[] | undefined => properties[key]?.readBy

const fileKeys = new Map(secretKeys.map((key) => [`${key}_FILE`, key]))

/** Without the final line break, which editors and `echo` add. */
const textOf = (path: string): string => readFileSync(path, 'utf8').replace(/\r?\n$/, '')

/** The environment with the contents of the files, and their errors, one line each. */
export const readSecretFiles = (env: Env): { env: Env; problems: string[] } => {
  const problems: string[] = []
  const result: Record<string, string | undefined> = { ...env }
  for (const [fileKey, key] of fileKeys) {
    const path = env[fileKey]
    delete result[fileKey]
    if (!path) continue
    if (env[key]) {
      problems.push(`${key} and ${fileKey} are both given: leave one out`)
      continue
    }
    try {
      const text = textOf(path)
      if (text === '') problems.push(`${fileKey}: ${path} is empty`)
      else result[key] = text
    } catch (error) {
      problems.push(`${fileKey}: ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`)
    }
  }
  return { env: result, problems }
}
