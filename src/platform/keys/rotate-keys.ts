import { withFolderLock } from './folder-lock.ts'
import {
  type DataKeySet,
  dataKeysFile,
  type KeySet,
  newDataKey,
  newKey,
  type PublicKeys,
  type Purpose,
  privateFile,
  publicFile,
  publicHalf,
  readJson,
  writeJson,
} from './key-files.ts'
import { KeysError } from './keys-error.ts'

/** The ring that wraps data keys, as the command names it. */
export const dataKeysName = 'data-keys'

export interface RotateOptions {
  readonly folder: string
  /** Seconds until the new keys are used: time for every process to see them. */
  readonly afterSeconds: number
  /** The purposes to rotate; empty: all. */
  readonly names: readonly string[]
}

export interface Rotated {
  readonly name: string
  readonly activeAt: Date
  /** Old keys that were dropped. */
  readonly dropped: number
}

/** Ten minutes for the longest token, and five for a process that sees a change late. */
const keptAfterRetirementMs = 15 * 60_000

/** Its signatures are verified as long as there is an audit trail. */
const verifiesForEver = (purpose: string): boolean => purpose.startsWith('audit-')

/** Without the keys whose successor has been active for so long that none of their signatures is still valid. */
const withoutRetired = ({ keys }: KeySet, now: number): KeySet => {
  const inOrder = keys.toSorted((a, b) => Date.parse(a.active_at) - Date.parse(b.active_at))
  return {
    keys: inOrder.filter((_key, index) => {
      const successor = inOrder[index + 1]
      return !successor || Date.parse(successor.active_at) + keptAfterRetirementMs > now
    }),
  }
}

const addKey = async (purpose: Purpose, folder: string, known: KeySet, activeAt: Date) => {
  const before = readJson<KeySet>(folder, privateFile(purpose))
  const set = withoutRetired({ keys: [...before.keys, await newKey(activeAt)] }, Date.now())
  const halves = set.keys.map(publicHalf)
  const kept = verifiesForEver(purpose) ? known.keys.filter(({ kid }) => !halves.some((half) => half.kid === kid)) : []
  return { purpose, set, halves: [...kept, ...halves], dropped: before.keys.length + 1 - set.keys.length }
}

/**
 * Adds a new key for each purpose: published at once, used after `afterSeconds`. All public halves are written before the first
 * private one. @throws KeysError if a private key is not in the folder, or a name is unknown
 */
export const rotateKeys = async ({ folder, afterSeconds, names }: RotateOptions): Promise<Rotated[]> => {
  // Without this, a lock would be created in a folder that has no keys.
  readJson<PublicKeys>(folder, publicFile)
  return withFolderLock(folder, async () => {
    const published = readJson<PublicKeys>(folder, publicFile)
    const known = [...Object.keys(published), dataKeysName]
    const unknown = names.filter((name) => !known.includes(name))
    if (unknown.length > 0) throw new KeysError(`${folder} has no ${unknown.join(', ')}; it has ${known.join(', ')}`)

    const chosen = names.length > 0 ? [...new Set(names)] : known
    const activeAt = new Date(Date.now() + afterSeconds * 1000)
    const purposes = chosen.filter((name) => name !== dataKeysName) as Purpose[]
    const added = await Promise.all(purposes.map((purpose) => addKey(purpose, folder, published[purpose] as KeySet, activeAt)))
    const ring = chosen.includes(dataKeysName) ? readJson<DataKeySet>(folder, dataKeysFile) : undefined

    const next: PublicKeys = { ...published }
    for (const { purpose, halves } of added) next[purpose] = { keys: halves }
    writeJson(folder, publicFile, next, 0o644)
    for (const { purpose, set } of added) writeJson(folder, privateFile(purpose), set, 0o600)
    if (ring) writeJson(folder, dataKeysFile, { ...ring, keys: [...ring.keys, newDataKey(activeAt)] }, 0o600)
    return [
      ...added.map(({ purpose, dropped }) => ({ name: purpose, activeAt, dropped })),
      ...(ring ? [{ name: dataKeysName, activeAt, dropped: 0 }] : []),
    ]
  })
}
