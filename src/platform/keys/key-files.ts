import { randomBytes, randomUUID } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { exportJWK, generateKeyPair, type JWK } from 'jose'
import { withFolderLock } from './folder-lock.ts'
import { KeysError } from './keys-error.ts'

/**
 * The purpose of a key pair. One folder holds `<purpose>.private.json` for each, readable only by its owner, and `public.json`
 * with the public halves of all. A pod mounts only its own private files and the public one.
 */
export type Purpose = 'access-token' | 'audit-checkpoint' | `service-${string}` | `audit-entry-${string}`

/** Ed25519 (RFC 8037) as a JWK (RFC 7517), with the time when it starts to sign. */
export interface StoredKey extends JWK {
  kid: string
  /** ISO 8601. Before that, the key is only published, so that every verifier knows it before it is used. */
  active_at: string
}
export interface KeySet {
  keys: StoredKey[]
}

/** AES-256 keys, base64, that wrap the data keys of persons; `lookup` is the key of the hash that finds an e-mail address. */
export interface DataKeySet {
  keys: { id: string; key: string; active_at: string }[]
  lookup: string
}

/** The content of `public.json`, by purpose. */
export type PublicKeys = Record<string, KeySet>

export const publicFile = 'public.json'
export const dataKeysFile = 'data-keys.private.json'
export const privateFile = (purpose: Purpose): string => `${purpose}.private.json`
const privateMode = 0o600

const purposesOf = (services: readonly string[]): Purpose[] => [
  'access-token',
  'audit-checkpoint',
  ...services.map((name): Purpose => `service-${name}`),
  ...services.map((name): Purpose => `audit-entry-${name}`),
]

/** Only the public half. */
export const publicHalf = ({ d: _secret, ...half }: StoredKey): StoredKey => half

export const newKey = async (activeAt: Date): Promise<StoredKey> => {
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  return { ...(await exportJWK(privateKey)), kid: randomUUID(), alg: 'EdDSA', use: 'sig', active_at: activeAt.toISOString() }
}

export const newDataKey = (activeAt: Date): DataKeySet['keys'][number] => ({
  id: randomUUID(),
  key: randomBytes(32).toString('base64'),
  active_at: activeAt.toISOString(),
})

const reason = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? (error as Error).message

/** @throws KeysError if the file is missing or is not JSON */
export const readJson = <T>(folder: string, file: string): T => {
  try {
    return JSON.parse(readFileSync(join(folder, file), 'utf8')) as T
  } catch (error) {
    throw new KeysError(`${join(folder, file)} cannot be read (${reason(error)})`)
  }
}

/**
 * Atomic: a reader never sees half a file. A replaced file keeps its owner and permissions, so that its readers can still read
 * it. @throws KeysError
 */
export const writeJson = (folder: string, file: string, value: unknown, mode: number): void => {
  const path = join(folder, file)
  const unfinished = join(folder, `.${file}.${process.pid}`)
  try {
    const before = statSync(path, { throwIfNoEntry: false })
    const descriptor = openSync(unfinished, 'w', privateMode)
    try {
      writeFileSync(descriptor, `${JSON.stringify(value, null, 2)}\n`)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    chmodSync(unfinished, before ? before.mode & 0o777 : mode)
    const own = statSync(unfinished)
    if (before && (before.uid !== own.uid || before.gid !== own.gid)) chownSync(unfinished, before.uid, before.gid)
    renameSync(unfinished, path)
  } catch (error) {
    throw new KeysError(`${path} cannot be written (${reason(error)})`)
  }
}

const isThere = (folder: string, file: string): boolean =>
  statSync(join(folder, file), { throwIfNoEntry: false })?.isFile() ?? false

const publicKeysOf = (folder: string): PublicKeys => (isThere(folder, publicFile) ? readJson(folder, publicFile) : {})

/** One level at a time: `recursive` never ends on a file system without folders, such as /proc (Node 24). */
const makeFolders = (folder: string, mode: number): void => {
  const before = statSync(folder, { throwIfNoEntry: false })
  if (before?.isDirectory()) return
  if (before) throw new Error('not a folder')
  // The folders around it stay open: PostgreSQL's account must be able to enter DATA_DIR.
  makeFolders(dirname(folder), 0o755)
  try {
    mkdirSync(folder, { mode })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

const makeFolder = (folder: string): void => {
  try {
    makeFolders(resolve(folder), 0o700)
  } catch (error) {
    throw new KeysError(`${folder} cannot be used as a key folder (${reason(error)})`)
  }
}

/**
 * Creates missing service keys in a folder; existing ones stay. Safe to run in several processes: all use the same keys. @returns
 * what was created. @throws KeysError if the folder cannot be read or written
 */
export const initKeys = async (folder: string, services: readonly string[]): Promise<Purpose[]> => {
  const missingOf = (halves: PublicKeys) => purposesOf(services).filter((purpose) => !Object.hasOwn(halves, purpose))
  makeFolder(folder)
  if (missingOf(publicKeysOf(folder)).length === 0) return []
  return withFolderLock(folder, async () => {
    const halves = publicKeysOf(folder)
    const missing = missingOf(halves)
    const now = new Date()
    // A folder that publishes keys had a key ring: a new one could not unwrap what the lost one wrapped.
    if (Object.keys(halves).length === 0 && !isThere(folder, dataKeysFile)) {
      const ring: DataKeySet = { keys: [newDataKey(now)], lookup: randomBytes(32).toString('base64') }
      writeJson(folder, dataKeysFile, ring, privateMode)
    }
    for (const purpose of missing) {
      const file = privateFile(purpose)
      const set: KeySet = isThere(folder, file) ? readJson(folder, file) : { keys: [await newKey(now)] }
      if (!isThere(folder, file)) writeJson(folder, file, set, privateMode)
      halves[purpose] = { keys: set.keys.map(publicHalf) }
    }
    writeJson(folder, publicFile, halves, 0o644)
    return missing
  })
}
