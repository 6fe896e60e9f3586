import { createHash, randomBytes } from 'node:crypto'

/** 256 random bits for a link or a client to keep, and what of it is stored: a copy of the table opens nothing. */
export const newSecret = (): { token: string; hash: Buffer } => {
  const token = randomBytes(32).toString('base64url')
  return { token, hash: hashOf(token) }
}

/** SHA-256: enough for what is random, unlike passwords. */
export const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest()
