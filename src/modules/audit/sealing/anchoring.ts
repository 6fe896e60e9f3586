import type { Logger } from 'pino'
import type { KeyStore } from '../../../platform/keys/key-store.ts'
import type { Anchor } from './anchor.ts'
import { openCheckpoint } from './checkpoint.ts'
import type { SealRepository, StoredCheckpoint } from './repository.ts'

export interface AnchoringOptions {
  readonly repository: Pick<SealRepository, 'above' | 'upTo'>
  readonly keys: Pick<KeyStore, 'published'>
  readonly anchor: Anchor
  readonly log: Logger
}

/** Checkpoints that the anchor does not hold yet. */
export interface Lag {
  readonly checkpoints: number
  /** Age of the oldest of them in seconds; 0 if there is none. */
  readonly age: number
}

export interface Anchoring {
  /** Anchors missing checkpoints, in order of size. */
  run(): Promise<void>
  /** As reported by the anchor, or its last report while it is unreachable. */
  lag(): Promise<Lag>
  close(): void
}

const batch = 100

/**
 * Stores checkpoints at the anchor. The anchor itself says how far it is: this service's database role can write anything into
 * its tables, and that must not stop the anchoring. So a row counts as a checkpoint only if this log signed it, and only for the
 * size that is signed.
 */
export const createAnchoring = ({ repository, keys, anchor, log }: AnchoringOptions): Anchoring => {
  /** Every checkpoint up to here that this log signed is in the anchor. */
  let reached = 0
  let closed = false
  const told = new Set<number>()

  const isOurs = ({ size, note }: StoredCheckpoint): boolean => {
    if (openCheckpoint(keys, note)?.size === size) return true
    if (!told.has(size)) log.error({ size }, 'skipping a checkpoint row that this log did not sign')
    if (told.size < 1000) told.add(size)
    return false
  }

  /** Every checkpoint above this size that this log signed. */
  const signedAbove = async function* (size: number) {
    for (let from = size; !closed; ) {
      const rows = await repository.above(from, batch)
      for (const row of rows) if (isOurs(row)) yield row
      const last = rows.at(-1)
      if (last === undefined || rows.length < batch) return
      from = last.size
    }
  }

  const newestSigned = async (): Promise<number> => {
    for (let upTo = Number.MAX_SAFE_INTEGER; ; ) {
      const rows = await repository.upTo(upTo, batch)
      const newest = rows.find(isOurs)
      const last = rows.at(-1)
      if (newest || last === undefined) return newest?.size ?? 0
      upTo = last.size - 1
    }
  }

  /** Looks for the newest one if this process does not know it, or if it is missing. */
  const ask = async (): Promise<void> => {
    if (reached > 0 && (await anchor.holds(reached))) return
    // Ignore one beyond what this database has: somebody may have stored it before this check.
    reached = await anchor.newest(await newestSigned())
  }

  return {
    run: async () => {
      await ask()
      for await (const { size, note } of signedAbove(reached)) {
        if (closed) return
        await anchor.put(size, note)
        reached = size
      }
    },
    lag: async () => {
      let answers = await ask().then(
        () => true,
        (error) => {
          log.warn({ err: error }, 'cannot read the audit anchor')
          return false
        },
      )
      let [checkpoints, age] = [0, 0]
      for await (const row of signedAbove(reached)) {
        // In order: if another process has stored one, the following may be there too.
        answers = answers && (await anchor.holds(row.size).catch(() => false))
        if (answers) reached = row.size
        else {
          checkpoints++
          age = Math.max(age, row.age)
        }
      }
      return { checkpoints, age }
    },
    close: () => {
      closed = true
    },
  }
}
