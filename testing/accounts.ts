import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Answer, RunningApp } from './app.ts'
import { eventually } from './eventually.ts'
import { type Mail, readMail } from './mime.ts'
import { signedIn } from './people.ts'

export const password = 'a quiet harbour 7'

let count = 0
/** A person with a password, created by the administrator of the sample data. */
export const newPerson = async (
  { api, keysDir }: Pick<RunningApp, 'api' | 'keysDir'>,
  fields: object = {},
): Promise<{ id: number; email: string }> => {
  count += 1
  const email = `person-${process.pid}-${count}@example.com`
  const { status, body } = await api('/users', 'POST', { name: 'Ada', email, password, ...fields }, await signedIn(keysDir, 1))
  if (status !== 201) throw new Error(`expected 201, got ${status}: ${JSON.stringify(body)}`)
  return body.data
}

export const signIn = ({ api }: Pick<RunningApp, 'api'>, email: string, more: object = {}): Promise<Answer> =>
  api('/auth/login', 'POST', { email, password, ...more })

export const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })

/** Headers of a signed-in person who has just confirmed the password. */
export const reauthenticate = async (
  { api }: Pick<RunningApp, 'api'>,
  headers: Record<string, string>,
  more: object = {},
): Promise<Record<string, string>> => {
  const { status, body } = await api('/auth/reauthenticate', 'POST', { password, ...more }, headers)
  if (status !== 200) throw new Error(`expected 200, got ${status}: ${JSON.stringify(body)}`)
  return bearer(body.data.access_token)
}

/** All messages to this person, oldest first. */
export const mailsOf = (dataDir: string, userId: number): Mail[] => {
  const folder = join(dataDir, 'mail', String(userId))
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.eml'))
      .sort()
      .map((name) => readMail(readFileSync(join(folder, name), 'latin1')))
  } catch {
    return []
  }
}

/** Waits for `n` messages with a token to this person. @returns the newest one and its token */
export const mailedToken = (dataDir: string, userId: number, n = 1): Promise<{ mail: Mail; token: string }> =>
  eventually(() => {
    // A file that is still being written has no token yet.
    const found = mailsOf(dataDir, userId).flatMap((mail) => {
      const token = /^[\w-]{43}$/m.exec(mail.parts['text/plain'] ?? '')?.[0]
      return token === undefined ? [] : [{ mail, token }]
    })
    return found.length >= n && (found.at(-1) as { mail: Mail; token: string })
  })
