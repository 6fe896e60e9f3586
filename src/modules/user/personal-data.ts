import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto'
import { createCache } from '../../platform/cache.ts'
import type { KeyStore } from '../../platform/keys/key-store.ts'
import type { User } from './contract.ts'

/** Data that identifies a person; all of it is encrypted at rest. */
export type Personal = Pick<User, 'name' | 'email' | 'phone'>

/** A person's own data key, wrapped by a key of the key ring. */
export interface WrappedKey {
  readonly data_key: Buffer
  readonly ring_key: string
}

/** The owner of a key: data encrypted for one user's row cannot be read in another's. */
export interface KeyOfUser extends WrappedKey {
  readonly id: number
}

/** A person's data as stored in the table. */
export interface Sealed extends KeyOfUser {
  readonly personal: Buffer
}

const nonceBytes = 12
const tagBytes = 16

/** AES-256-GCM (NIST SP 800-38D): nonce, ciphertext, tag. `context` is authenticated with it. */
const encrypt = (key: Buffer, plain: Buffer, context: string): Buffer => {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context))
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** @throws Error if the key or the context differs, or a byte was changed */
const decrypt = (key: Buffer, sealed: Buffer, context: string): Buffer => {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, nonceBytes), { authTagLength: tagBytes })
    .setAAD(Buffer.from(context))
    .setAuthTag(sealed.subarray(-tagBytes))
  return Buffer.concat([decipher.update(sealed.subarray(nonceBytes, -tagBytes)), decipher.final()])
}

const contextOf = (what: 'personal' | 'data-key' | 'secret' | 'address', userId: number): string =>
  `orderhub:user:${userId}:${what}`

/** Decryption takes a fifth of a whole read, so opened values are cached for a moment. */
const rememberMs = 30_000
const remembered = 1000

export type PersonalData = ReturnType<typeof createPersonalData>

/** Envelope encryption: each person's data under its own data key, which the ring's newest key wraps. */
export const createPersonalData = (keys: Pick<KeyStore, 'data'>) => {
  const unwrap = ({ id, data_key, ring_key }: KeyOfUser): Buffer => {
    const key = keys.data().byId(ring_key)
    if (!key) throw new Error(`the key ring has no key ${ring_key}`)
    return decrypt(key, data_key, contextOf('data-key', id))
  }
  const wrap = (id: number, dataKey: Buffer): WrappedKey => {
    const { current } = keys.data()
    return { data_key: encrypt(current.key, dataKey, contextOf('data-key', id)), ring_key: current.id }
  }
  const sealWith = (id: number, dataKey: Buffer, { name, email, phone }: Personal): Buffer =>
    encrypt(dataKey, Buffer.from(JSON.stringify({ name, email, phone })), contextOf('personal', id))

  // Keyed by the whole sealed value: a changed, swapped or erased row is never served from the cache.
  const opened = createCache<Personal>(remembered)

  return {
    /** For a person without a key. */
    seal: (id: number, person: Personal): Omit<Sealed, 'id'> => {
      const dataKey = randomBytes(32)
      return { personal: sealWith(id, dataKey, person), ...wrap(id, dataKey) }
    },
    /** The same person's changed data, under their existing key. */
    reseal: (of: KeyOfUser, person: Personal): Buffer => sealWith(of.id, unwrap(of), person),
    open: (sealed: Sealed): Personal => {
      const name = `${sealed.id} ${sealed.data_key.toString('latin1')} ${sealed.personal.toString('latin1')}`
      const known = opened.get(name)
      if (known) return known
      const person = JSON.parse(decrypt(unwrap(sealed), sealed.personal, contextOf('personal', sealed.id)).toString()) as Personal
      opened.set(name, person, Date.now() + rememberMs)
      return person
    },
    /** The same data key, wrapped by the ring's newest key. */
    rewrap: (of: KeyOfUser): WrappedKey => wrap(of.id, unwrap(of)),
    /** A secret of this person, such as their second factor's. */
    sealSecret: (of: KeyOfUser, secret: Buffer): Buffer => encrypt(unwrap(of), secret, contextOf('secret', of.id)),
    openSecret: (of: KeyOfUser, secret: Buffer): Buffer => decrypt(unwrap(of), secret, contextOf('secret', of.id)),
    /** Another address of the person: a new one, or the old one. */
    sealAddress: (of: KeyOfUser, address: string): Buffer =>
      encrypt(unwrap(of), Buffer.from(address), contextOf('address', of.id)),
    openAddress: (of: KeyOfUser, sealed: Buffer): string => decrypt(unwrap(of), sealed, contextOf('address', of.id)).toString(),
    /** HMAC-SHA256 of the address in lower case: finds it without revealing it. */
    lookup: (email: string): Buffer => createHmac('sha256', keys.data().lookup).update(email.toLowerCase()).digest(),
  }
}
