import type { Logger } from 'pino'
import type { KeyStore } from '../../../platform/keys/key-store.ts'
import { leafBytes } from '../stored-entry.ts'
import type { Anchoring } from './anchoring.ts'
import { signCheckpoint } from './checkpoint.ts'
import type { Seal, SealRepository } from './repository.ts'
import { createTree, leafHash, type TreeNode } from './tree.ts'

export interface Sealer {
  start(): void
  /** This many entries were recorded just now. */
  added(count: number): void
  /** Seals every waiting entry. Returns how many; fewer if another process seals too. */
  seal(): Promise<number>
  close(): Promise<void>
}

export interface SealerOptions {
  readonly repository: Pick<SealRepository, 'waiting' | 'state' | 'grow'>
  readonly keys: Pick<KeyStore, 'signer'>
  readonly anchoring: Anchoring | undefined
  readonly log: Logger
  /** Maximum time from the recording of an entry until its checkpoint, ms. */
  readonly everyMs?: number
  /** Seals at once when this many entries wait. Also the maximum per checkpoint. */
  readonly everyEntries?: number
}

/**
 * Adds entries to the tree. Each step is one statement: leaves, nodes and a signed checkpoint, all or nothing. Safe to run in
 * several processes: the primary key of the leaves gives an index to one of them, and the other tries again with the new state. A
 * crash at any point leaves only entries that wait.
 */
export const createSealer = (options: SealerOptions): Sealer => {
  const { repository, keys, anchoring, log, everyMs = 5000, everyEntries = 1000 } = options
  let closed = false

  const step = async (): Promise<number> => {
    const waiting = await repository.waiting(everyEntries)
    if (waiting.length === 0) return 0
    const { size, peaks } = await repository.state()
    const tree = createTree(size, peaks)
    const seals: Seal[] = []
    const nodes: TreeNode[] = []
    for (const entry of waiting) {
      const leaf = { index: tree.size(), id: entry.id, hash: leafHash(leafBytes(entry)) }
      seals.push(leaf)
      nodes.push(...tree.append(leaf.hash))
    }
    const note = signCheckpoint(keys, { size: tree.size(), root: tree.root() })
    const { outcome } = await repository.grow({ seals, nodes, checkpoint: { size: tree.size(), note } })
    if (outcome === 'grown') return waiting.length
    // Another process was faster, or somebody wrote a row that only a sealer may write.
    if ((await repository.state()).size === size)
      throw new Error(`unexpected row in the way: a leaf at index ${size}, or a checkpoint of size ${tree.size()}`)
    return 0
  }

  const seal = async (): Promise<number> => {
    let sealed = 0
    for (let last = everyEntries; last === everyEntries && !closed; sealed += last) last = await step()
    return sealed
  }

  let unsealed = 0
  let sealing: Promise<unknown> | undefined
  let carrying: Promise<void> | undefined
  const poll = () => {
    if (closed) return
    unsealed = 0
    sealing ??= seal()
      .catch((error) => log.warn({ err: error }, 'sealing audit entries failed; will retry'))
      .finally(() => {
        sealing = undefined
        // In parallel with the next seal: a slow or unreachable anchor delays nothing.
        carrying ??= anchoring
          ?.run()
          .catch((error) => log.error({ err: error }, 'anchoring audit checkpoints failed; will retry'))
          .finally(() => {
            carrying = undefined
          })
      })
  }

  let timer: NodeJS.Timeout | undefined
  return {
    seal,
    start: () => {
      timer ??= setInterval(poll, everyMs).unref()
      poll()
    },
    added: (count) => {
      unsealed += count
      if (timer && unsealed >= everyEntries) poll()
    },
    close: async () => {
      clearInterval(timer)
      closed = true
      await sealing
      anchoring?.close()
      await carrying
    },
  }
}
