import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { join } from 'node:path'
import type { JSONWebKeySet } from 'jose'
import { isReadByAll, stateOf, statOf } from './file-state.ts'
import {
  type DataKeySet,
  dataKeysFile,
  type KeySet,
  type PublicKeys,
  type Purpose,
  privateFile,
  publicFile,
  readJson,
} from './key-files.ts'
import { KeysError } from './keys-error.ts'

export interface SigningKey {
  readonly kid: string
  readonly key: KeyObject
}

/** AES-256 keys that wrap data keys, and the key of the look-up hash. */
export interface DataKeys {
  /** The key that wraps new data keys. */
  readonly current: { readonly id: string; readonly key: Buffer }
  readonly lookup: Buffer
  /** @returns undefined for an unknown id */
  byId(id: string): Buffer | undefined
}

/** The current keys of one folder: a rotation takes effect without a restart. */
export interface KeyStore {
  /** The newest active key. @throws KeysError if this process does not have the private half */
  signer(purpose: Purpose): SigningKey
  /** The public key of this id; reads the folder again for an unknown one. */
  verifier(purpose: Purpose, kid: string): KeyObject | undefined
  /** Public halves (RFC 7517). */
  published(purpose: Purpose): JSONWebKeySet
  data(): DataKeys
}

export interface KeyStoreOptions {
  readonly folder: string
  /** Refuses private files that others can read. */
  readonly strict: boolean
}

const lookAgainMs = 1000

/** Reads a file again when it has changed, checking at most once a second. Keeps the old content if it cannot be read. */
const createReader = <T>(folder: string, file: string, make: (text: unknown) => T, strict: boolean) => {
  const path = join(folder, file)
  let value: T | undefined
  let seen = ''
  let lookedAt = 0

  const reload = (): T => {
    const stat = statOf(path)
    if (!stat) throw new KeysError(`${path} is missing: create the keys with \`node dist/keys.js init ${folder}\``)
    if (strict && file !== publicFile && isReadByAll(stat))
      throw new KeysError(`${path} is readable by everybody: remove that permission (chmod o= ${path})`)
    if (strict && file === publicFile && (stat.mode & 0o002) !== 0)
      throw new KeysError(`${path} is writable by everybody: remove that permission (chmod o-w ${path})`)
    const state = stateOf(stat)
    if (value !== undefined && state === seen) return value
    try {
      value = make(readJson(folder, file))
    } catch (error) {
      throw error instanceof KeysError ? error : new KeysError(`${path} contains no keys (${(error as Error).message})`)
    }
    seen = state
    return value
  }

  return (atOnce = false): T => {
    const now = Date.now()
    if (value !== undefined && !atOnce && now - lookedAt < lookAgainMs) return value
    lookedAt = now
    try {
      return reload()
    } catch (error) {
      if (value === undefined) throw error
      return value
    }
  }
}

/** The newest key that is active; if none is, for example because the clock is behind, the first. */
const newestActive = <T extends { readonly activeAt: number }>(keys: readonly T[], path: string): T => {
  const inOrder = keys.toSorted((a, b) => a.activeAt - b.activeAt)
  const chosen = inOrder.findLast(({ activeAt }) => activeAt <= Date.now()) ?? inOrder[0]
  if (!chosen) throw new KeysError(`${path} contains no keys`)
  return chosen
}

export const createKeyStore = ({ folder, strict }: KeyStoreOptions): KeyStore => {
  const publicKeys = createReader(
    folder,
    publicFile,
    (sets) => {
      const byPurpose = sets as PublicKeys
      const objects = new Map<string, KeyObject>()
      for (const [purpose, { keys }] of Object.entries(byPurpose))
        for (const key of keys) objects.set(`${purpose} ${key.kid}`, createPublicKey({ key: key as never, format: 'jwk' }))
      return { byPurpose, objects }
    },
    strict,
  )
  const signers = new Map<Purpose, () => readonly (SigningKey & { activeAt: number })[]>()
  const signersOf = (purpose: Purpose) => {
    const known =
      signers.get(purpose) ??
      createReader(
        folder,
        privateFile(purpose),
        (set) =>
          (set as KeySet).keys.map((key) => ({
            kid: key.kid,
            key: createPrivateKey({ key: key as never, format: 'jwk' }),
            activeAt: Date.parse(key.active_at),
          })),
        strict,
      )
    signers.set(purpose, known)
    return known
  }
  const dataKeys = createReader(
    folder,
    dataKeysFile,
    (set) => {
      const { keys, lookup } = set as DataKeySet
      const ring = keys.map(({ id, key, active_at }) => ({
        id,
        key: Buffer.from(key, 'base64'),
        activeAt: Date.parse(active_at),
      }))
      const byId = new Map(ring.map(({ id, key }) => [id, key]))
      return { ring, lookup: Buffer.from(lookup, 'base64'), byId: (id: string) => byId.get(id) }
    },
    strict,
  )
  return {
    signer: (purpose) => newestActive(signersOf(purpose)(), join(folder, privateFile(purpose))),
    verifier: (purpose, kid) => {
      const name = `${purpose} ${kid}`
      return publicKeys().objects.get(name) ?? publicKeys(true).objects.get(name)
    },
    published: (purpose) => ({
      keys: (publicKeys().byPurpose[purpose]?.keys ?? []).map(({ active_at: _, ...key }) => key),
    }),
    data: () => {
      const { ring, lookup, byId } = dataKeys()
      return { current: newestActive(ring, join(folder, dataKeysFile)), lookup, byId }
    },
  }
}
