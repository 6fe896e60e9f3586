import type { Logger } from 'pino'
import { judge } from '../../platform/audit/entry.ts'
import type { AuditEntry } from '../../platform/audit/schema.ts'
import { createBackground } from '../../platform/concurrency/background.ts'
import type { KeyStore } from '../../platform/keys/key-store.ts'
import type { Intake } from './intake.ts'
import type { EntryRepository } from './repository.ts'

export interface ParkingOptions {
  readonly repository: Pick<EntryRepository, 'park' | 'parkedKeys' | 'parkedFor' | 'unpark'>
  readonly intake: Intake
  readonly keys: Pick<KeyStore, 'verifier'>
  readonly log: Logger
  readonly everyMs?: number
}

export type Parking = ReturnType<typeof createParking>

const batch = 500

/**
 * Entries whose key is not known here yet wait here for as long as necessary: a new key reaches the services that sign with it
 * and this one at different times. When the key arrives, they are recorded, or become dead letters if their signature is invalid.
 */
export const createParking = ({ repository, intake, keys, log, everyMs = 1000 }: ParkingOptions) => {
  const told = new Set<string>()

  const releaseBatch = async (key: { service: string; key_id: string }): Promise<number> => {
    const waiting = await repository.parkedFor(key, batch)
    const { signed = [], forged = [] } = Object.groupBy(waiting, ({ entry }) => judge(keys, entry))
    await intake.add(signed.map(({ entry }) => entry))
    await intake.refuse(forged.map(({ entry }) => entry))
    const released = [...signed, ...forged]
    // Last: after a crash before this, they are recorded again, which changes nothing.
    await repository.unpark(released.map(({ digest }) => digest))
    return released.length
  }

  const release = async (): Promise<void> => {
    for (const key of await repository.parkedKeys()) {
      if (!keys.verifier(`audit-entry-${key.service}`, key.key_id)) continue
      let released = 0
      for (let last = batch; last === batch; released += last) last = await releaseBatch(key)
      told.delete(`${key.service} ${key.key_id}`)
      log.info({ ...key, entries: released }, 'public key found: parked audit entries are recorded')
    }
  }

  const rounds = createBackground(async () => {
    await release().catch((error) => log.warn({ err: error }, 'releasing parked audit entries failed; will retry'))
    return everyMs
  })

  return {
    park: async (entries: readonly AuditEntry[]): Promise<void> => {
      if (entries.length === 0) return
      await repository.park(entries)
      for (const { service, key_id } of entries) {
        const name = `${service} ${key_id}`
        if (told.has(name)) continue
        told.add(name)
        log.warn({ service, key_id }, 'unknown public key: audit entries are parked until it is in public.json')
      }
    },
    release,
    start: rounds.start,
    close: rounds.close,
  }
}
