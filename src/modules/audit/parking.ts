import type { Logger } from 'pino'
import { judge } from '../../platform/audit/entry.ts'
import type { AuditEntry } from '../../platform/audit/schema.ts'
import type { ErrorCode } from '../../platform/errors.ts'
import type { KeyStore } from '../../platform/keys/key-store.ts'
import type { EntryRepository } from './repository.ts'
import type { Sealer } from './sealing/sealer.ts'

export interface ParkingOptions {
  readonly repository: Pick<EntryRepository, 'park' | 'parkedKeys' | 'parkedFor' | 'unpark' | 'record' | 'taken' | 'reject'>
  readonly keys: Pick<KeyStore, 'verifier'>
  readonly sealer: Pick<Sealer, 'added'>
  readonly log: Logger
  readonly everyMs?: number
}

export type Parking = ReturnType<typeof createParking>

const batch = 500

/** A refusal's entry in the form in which events come, so that it can be delivered again. */
const deliveryOf = (entry: AuditEntry) => ({
  id: entry.event_id,
  type: entry.action,
  aggregate_id: entry.resource.id ?? '',
  version: entry.resource.version ?? 0,
  actor: entry.actor,
  traceparent: `00-${entry.trace_id}-${entry.span_id}-01`,
  policy_version: entry.policy_version,
  occurred_at: entry.timestamp,
  data: {},
  entry,
})

/** Keeps entries that are not to be believed beside the trail. */
export const setAside = (
  repository: Pick<EntryRepository, 'reject'>,
  given: readonly AuditEntry[],
  reason: ErrorCode,
): Promise<void> =>
  repository.reject(given.map((entry) => ({ event_id: entry.event_id, type: entry.action, event: deliveryOf(entry), reason })))

/**
 * Where entries wait whose key is not known here yet, for as long as that takes: a new key reaches the services that sign
 * with it and this one at different times. When the key is known they go onto the trail, or where its signature is wrong
 * to the dead letters.
 */
export const createParking = ({ repository, keys, sealer, log, everyMs = 1000 }: ParkingOptions) => {
  const told = new Set<string>()
  let timer: NodeJS.Timeout | undefined
  let releasing: Promise<void> | undefined

  const releaseBatch = async (key: { service: string; key_id: string }): Promise<number> => {
    const waiting = await repository.parkedFor(key, batch)
    const signed = waiting.filter(({ entry }) => judge(keys, entry) === 'signed').map(({ entry }) => entry)
    const forged = waiting.filter(({ entry }) => judge(keys, entry) === 'forged').map(({ entry }) => entry)
    if (signed.length > 0) sealer.added(await repository.record(signed))
    const taken = await repository.taken(signed)
    if (taken.length > 0) {
      await setAside(repository, taken, 'audit.event_taken')
      log.error({ ...key, entries: taken.length }, 'another service has put entries of these events on the trail')
    }
    if (forged.length > 0) {
      await setAside(repository, forged, 'audit.invalid_signature')
      log.error({ ...key, entries: forged.length }, 'audit entries are not signed by the service that they name')
    }
    // Last: after a crash before it they are recorded again, which changes nothing.
    await repository.unpark(waiting.map(({ digest }) => digest))
    return waiting.length
  }

  const release = async (): Promise<void> => {
    for (const key of await repository.parkedKeys()) {
      if (!keys.verifier(`audit-entry-${key.service}`, key.key_id)) continue
      let released = 0
      for (let last = batch; last === batch; released += last) last = await releaseBatch(key)
      told.delete(`${key.service} ${key.key_id}`)
      log.info({ ...key, entries: released }, 'the key of these audit entries is known: they wait no longer')
    }
  }

  return {
    park: async (entries: readonly AuditEntry[]): Promise<void> => {
      if (entries.length === 0) return
      await repository.park(entries)
      for (const { service, key_id } of entries) {
        const name = `${service} ${key_id}`
        if (told.has(name)) continue
        told.add(name)
        log.warn({ service, key_id }, 'audit entries wait until the public key that they name is in public.json')
      }
    },
    release,
    start: (): void => {
      timer ??= setInterval(() => {
        releasing ??= release()
          .catch((error) => log.warn({ err: error }, 'audit entries that wait for their key wait until the next try'))
          .finally(() => {
            releasing = undefined
          })
      }, everyMs).unref()
    },
    close: async (): Promise<void> => {
      clearInterval(timer)
      await releasing
    },
  }
}
