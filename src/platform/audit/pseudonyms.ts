import { createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { networkOf } from '../http/client-network.ts'
import type { KeyStore } from '../keys/key-store.ts'

const dayMs = 86_400_000

/**
 * A client's address as a keyed hash. The key is this process's own, is kept nowhere and is another one each day, so that
 * an entry tells which requests had one client, and never who it was.
 */
export const createPseudonyms = (now: () => number = Date.now): ((address: string) => string) => {
  let key = randomBytes(32)
  let day = Math.floor(now() / dayMs)
  return (address) => {
    const today = Math.floor(now() / dayMs)
    if (today !== day) key = randomBytes(32)
    day = today
    return createHmac('sha256', key).update(networkOf(address)).digest('hex').slice(0, 16)
  }
}

/**
 * An e-mail address that somebody tried to sign in with, as a keyed hash (HMAC-SHA-256, 128 bits in hex). The key is derived
 * (HKDF, RFC 5869) from the ring's look-up key, which no rotation changes: every process of the user service makes the
 * same hash, and those who hold the ring can find the entries of an address that they know.
 */
export const accountHash = (keys: Pick<KeyStore, 'data'>, email: string): string => {
  const key = Buffer.from(hkdfSync('sha256', keys.data().lookup, '', 'orderhub audit account', 32))
  return createHmac('sha256', key).update(email.toLowerCase()).digest('hex').slice(0, 32)
}
