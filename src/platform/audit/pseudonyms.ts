import { createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { networkOf } from '../http/client-network.ts'
import type { KeyStore } from '../keys/key-store.ts'

const dayMs = 86_400_000

/**
 * A client's address as a keyed hash. The key belongs to this process, is never stored and changes every day, so an entry shows
 * which requests had the same client, but never which one.
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
 * (HKDF, RFC 5869) from the ring's look-up key, which no rotation changes. Every process of the user service computes the same
 * hash, and the owner of the key ring can find the entries of a known address.
 */
export const accountHash = (keys: Pick<KeyStore, 'data'>, email: string): string => {
  const key = Buffer.from(hkdfSync('sha256', keys.data().lookup, '', 'orderhub audit account', 32))
  return createHmac('sha256', key).update(email.toLowerCase()).digest('hex').slice(0, 32)
}
