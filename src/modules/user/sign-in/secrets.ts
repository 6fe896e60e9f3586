import { createHash, randomBytes } from 'node:crypto'

/** 256 random bits for a link or a client, and the hash that is stored: a copy of the table reveals no token. */
export const newSecret = (): { token: string; hash: Buffer } => {
  const token = randomBytes(32).toString('base64url')
  return { token, hash: hashOf(token) }
}

/** SHA-256: enough for random values, unlike passwords. */
export const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest()
