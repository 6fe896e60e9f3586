import type { Logger } from 'pino'
import type { KeyStore } from '../../../platform/keys/key-store.ts'
import { leafBytes } from '../stored-entry.ts'
import type { Anchoring } from './anchoring.ts'
import { signCheckpoint } from './checkpoint.ts'
import type { Seal, SealRepository } from './repository.ts'
import { createTree, leafHash, type TreeNode } from './tree.ts'

export interface Sealer {
  start(): void
  /** So many entries were recorded just now. */
  added(count: number): void
  /** Gives every waiting entry its place; answers how many it were, fewer where another process does the same. */
  seal(): Promise<number>
  close(): Promise<void>
}

export interface SealerOptions {
  readonly repository: Pick<SealRepository, 'waiting' | 'state' | 'grow'>
  readonly keys: Pick<KeyStore, 'signer'>
  readonly anchoring: Anchoring | undefined
  readonly log: Logger
  /** An entry is under a checkpoint so many milliseconds after it was recorded, at the latest. */
  readonly everyMs?: number
  /** And as soon as so many entries wait; also the most that one checkpoint adds. */
  readonly everyEntries?: number
}

/**
 * Gives entries their place in the tree, in steps that are one statement each: leaves, nodes and a signed checkpoint, all
 * or nothing. Several processes may do it: the primary key of the leaves lets one of them have an index, and the other
 * tries again from what is there then. A crash at any point leaves entries that wait, and nothing else.
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
    const grown = await repository.grow({ seals, nodes, checkpoint: { size: tree.size(), note } })
    if (grown) return waiting.length
    // Another process was faster, or somebody has written a row that only a sealer should.
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
        // Beside the next seal: an anchor that is slow or away holds up nothing.
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
