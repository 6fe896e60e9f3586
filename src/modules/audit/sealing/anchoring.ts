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

/** What the anchor does not hold yet. */
export interface Lag {
  readonly checkpoints: number
  /** Seconds since the oldest of them was made; 0 where there is none. */
  readonly age: number
}

export interface Anchoring {
  /** Anchors what is not there yet, in order of size. */
  run(): Promise<void>
  /** As the anchor itself says, or where it is away as it said last. */
  lag(): Promise<Lag>
  close(): void
}

const batch = 100

/**
 * Carries checkpoints to the anchor. How far it is, the anchor says: the database role of this service can write whatever it
 * likes into its tables, and none of that must stop it. So a row counts as a checkpoint where this log signed it, and for the
 * size that is signed.
 */
export const createAnchoring = ({ repository, keys, anchor, log }: AnchoringOptions): Anchoring => {
  /** Everything that this log signed up to here is in the anchor. */
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

  /** Looks for the newest one where this process does not know it, or where it is gone. */
  const ask = async (): Promise<void> => {
    if (reached > 0 && (await anchor.holds(reached))) return
    // One beyond what this database has is nothing to go by: somebody may have brought it there before this was looked at.
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
        // In order: what follows one that another process has brought there may be there too.
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
