import { readFileSync } from 'node:fs'
import type { TSchema } from 'typebox'
import { Environment } from '../environment.ts'

type Env = Readonly<Record<string, string | undefined>>

const properties: Record<string, TSchema & { secret?: boolean; readBy?: readonly string[] }> = Environment.properties

/** Keys that may also come as the name of a file that holds the value: KEY_FILE. */
export const secretKeys: readonly string[] = Object.keys(properties).filter((key) => properties[key]?.secret)

/** The services that read a key, where not all do. */
export const readersOf = (key: string): readonly string[] | undefined => properties[key]?.readBy

const fileKeys = new Map(secretKeys.map((key) => [`${key}_FILE`, key]))

/** Without the line break at its end, which editors and `echo` leave. */
const textOf = (path: string): string => readFileSync(path, 'utf8').replace(/\r?\n$/, '')

/** The environment with what files hold in the place of their names, and what is wrong with them, one line each. */
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
