import type { Logger } from 'pino'
import { type Background, createBackground } from '../../../platform/concurrency/background.ts'
import type { KeyStore } from '../../../platform/keys/key-store.ts'
import type { KeyOfUser, PersonalData, WrappedKey } from '../personal-data.ts'
import type { UpkeepRepository } from './encryption-maintenance-repository.ts'

export interface EncryptionMaintenanceOptions {
  readonly repository: UpkeepRepository
  readonly data: Pick<PersonalData, 'rewrap'>
  readonly keys: Pick<KeyStore, 'data'>
  readonly log: Logger
}

const everyMs = 5000
const batch = 200

/**
 * Keeps personal data encrypted under the ring's current key. Runs every few seconds, because the ring can change at run time.
 * Safe to run in several processes.
 */
export const createEncryptionMaintenance = ({ repository, data, keys, log }: EncryptionMaintenanceOptions): Background => {
  /** Reported once each. */
  const unreadable = new Set<number>()
  const missing = new Set<string>()

  const sealPlain = async (signal: AbortSignal): Promise<void> => {
    let sealed = 0
    while (!signal.aborted) {
      const rows = await repository.plain(batch)
      if (rows.length === 0) break
      const { sealed: now, doubled } = await repository.seal(rows)
      sealed += now
      // Concurrent changes of these users: the next round finds them.
      if (now === 0) break
      if (doubled.length > 0) log.warn({ user_ids: doubled }, 'users share an e-mail address: they cannot sign in with it')
    }
    if (sealed > 0) log.info({ users: sealed }, 'personal data of the first release is now encrypted')
  }

  const rewrapped = (from: KeyOfUser): { from: KeyOfUser; to: WrappedKey }[] => {
    try {
      return [{ from, to: data.rewrap(from) }]
    } catch (error) {
      if (!unreadable.has(from.id)) log.error({ err: error, user_id: from.id }, 'cannot unwrap the data key of a user')
      unreadable.add(from.id)
      return []
    }
  }

  const rewrapAll = async (signal: AbortSignal): Promise<void> => {
    const ring = keys.data()
    const inUse = await repository.ringKeysInUse()
    const lost = inUse.filter((key) => !ring.byId(key) && !missing.has(key))
    for (const key of lost) missing.add(key)
    if (lost.length > 0) log.error({ ring_keys: lost }, 'the key ring lacks keys that wrap data keys: restore them')
    const old = inUse.filter((key) => key !== ring.current.id && ring.byId(key))
    if (old.length === 0) return
    let users = 0
    let after = 0
    while (!signal.aborted) {
      const rows = await repository.wrappedBy(old, after, batch)
      const last = rows.at(-1)
      if (!last) break
      after = last.id
      users += await repository.rewrap(rows.flatMap(rewrapped))
    }
    if (users > 0) log.info({ users, ring_key: ring.current.id }, 'data keys were re-wrapped with the current ring key')
  }

  return createBackground(async (signal) => {
    try {
      await sealPlain(signal)
      await rewrapAll(signal)
    } catch (error) {
      log.warn({ err: error }, 'encryption maintenance failed; will retry')
    }
    return everyMs
  })
}
