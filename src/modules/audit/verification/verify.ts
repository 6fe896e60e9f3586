import { isSigned } from '../../../platform/audit/entry.ts'
import type { KeyStore } from '../../../platform/keys/key-store.ts'
import { type Checkpoint, openCheckpoint } from '../sealing/checkpoint.ts'
import type { StoredCheckpoint } from '../sealing/repository.ts'
import { createTree, leafHash, type TreeNode } from '../sealing/tree.ts'
import { leafBytes, signedPart } from '../stored-entry.ts'
import { createEventIds } from './event-ids.ts'
import type { Doubled, PartitionCount, StoredLeaf } from './repository.ts'

/** The source to verify: a database or a snapshot. Data that a snapshot does not hold is derived and not compared. */
export interface Trail {
  /** The size of its newest checkpoint. */
  readonly size: number
  readonly leaves: AsyncIterable<Omit<StoredLeaf, 'hash'> & { readonly hash?: string }>
  /** In order of size. */
  readonly checkpoints: AsyncIterable<StoredCheckpoint>
  nodes?(from: number, end: number): Promise<TreeNode[]>
  counts?(): Promise<PartitionCount[]>
  /** Two entries of one event, among all entries, sealed or not. */
  doubled?(): Promise<Doubled | undefined>
}

export interface Verdict {
  readonly size: number
  readonly checkpoints: number
  readonly partitions: readonly PartitionCount[]
}

/** The trail was changed: says where it first differs. */
export class TamperError extends Error {
  override readonly name = 'TamperError'
}

export interface VerifyOptions {
  readonly trail: Trail
  /** A checkpoint from outside the database, its signature verified. */
  readonly trusted: Checkpoint
  readonly keys: Pick<KeyStore, 'verifier' | 'published'>
}

const nodesPage = 1000

const leafOf = (leaf: Omit<StoredLeaf, 'hash'> & { hash?: string }, keys: VerifyOptions['keys']): Buffer => {
  const name = `entry ${leaf.id} (index ${leaf.index})`
  const [entry] = leaf.entries
  if (!entry) throw new TamperError(`${name} is missing`)
  if (leaf.entries.length > 1) throw new TamperError(`${name} exists ${leaf.entries.length} times`)
  if (!isSigned(keys, signedPart(entry)))
    throw new TamperError(`${name} does not match the signature of the service ${JSON.stringify(entry.service)}`)
  const hash = leafHash(leafBytes(entry))
  if (leaf.hash !== undefined && leaf.hash !== hash.toString('base64'))
    throw new TamperError(`${name} differs from what was sealed`)
  return hash
}

const doubles = ({ event_id, first, second }: Doubled): TamperError =>
  new TamperError(`entries ${first} and ${second} are both for the event ${event_id}: an event has exactly one entry`)

const checkCounts = (partitions: readonly PartitionCount[]): void => {
  for (const { partition, rows, sealed, waiting, stray } of partitions) {
    if (stray !== null) throw new TamperError(`entry ${stray} in ${partition} is neither sealed nor waiting to be sealed`)
    if (rows !== sealed + waiting) {
      throw new TamperError(`${partition} has ${rows} entries, and ${sealed} are sealed and ${waiting} waiting`)
    }
  }
}

/**
 * Recomputes everything from the rows: each entry's signature and leaf, the indexes, the inner nodes, and the root at the trusted
 * checkpoint and at every stored one, which shows that each is an earlier state of the next. Also checks that no event has two
 * entries. Reads the leaves once, in order, and keeps one page of them and every event's id. @throws TamperError that names the
 * first difference
 */
export const verifyTrail = async ({ trail, trusted, keys }: VerifyOptions): Promise<Verdict> => {
  const tree = createTree()
  const eventIds = createEventIds()
  const notes = trail.checkpoints[Symbol.asyncIterator]()
  let note = await notes.next()
  let passed = 0
  /** Where the last matching root ended, and the first entry after it. */
  let proven = 0
  let next: number | undefined
  let nodes = new Map<string, Buffer>()
  let forged: string | undefined

  const mustHaveRoot = ({ size, root }: Checkpoint, whose: string): void => {
    if (tree.root().equals(root)) {
      proven = size
      return
    }
    if (proven === size) throw new TamperError(`${whose} of size ${size} has a different root hash than the trusted one`)
    throw new TamperError(
      `entry ${next} (index ${proven}), or one after it up to index ${size - 1}, differs from what ${whose} of size ${size} covers`,
    )
  }
  const checkRoots = async () => {
    const size = tree.size()
    if (size === trusted.size) mustHaveRoot(trusted, 'the trusted checkpoint')
    while (!note.done && note.value.size <= size) {
      const said = openCheckpoint(keys, note.value.note)
      if (said?.size !== note.value.size || said.size !== size) {
        // A forged checkpoint means changed entries further on: report those first.
        forged ??= `the stored checkpoint of size ${note.value.size} was not signed by this log`
      } else {
        mustHaveRoot(said, 'the stored checkpoint')
        passed++
      }
      note = await notes.next()
    }
  }

  const readLeaves = async () => {
    for await (const leaf of trail.leaves) {
      const index = tree.size()
      if (leaf.index !== index)
        throw new TamperError(`index ${index} is missing: entry ${leaf.id} with index ${leaf.index} follows`)
      if (index % nodesPage === 0 && trail.nodes) {
        const page = await trail.nodes(index, Math.min(index + nodesPage, trail.size))
        nodes = new Map(page.map((node) => [`${node.level} ${node.index}`, node.hash]))
      }
      if (index === proven) next = leaf.id
      const [entry] = leaf.entries
      const first = entry && eventIds.add(entry.event_id, leaf.id)
      if (entry && first !== undefined) throw doubles({ event_id: entry.event_id, first, second: leaf.id })
      for (const node of tree.append(leafOf(leaf, keys))) {
        if (trail.nodes && !nodes.get(`${node.level} ${node.index}`)?.equals(node.hash))
          throw new TamperError(
            `the tree above entry ${leaf.id} (index ${index}) does not match the entries: level ${node.level}`,
          )
      }
      await checkRoots()
    }
  }
  await readLeaves().catch((error) => {
    throw forged && error instanceof TamperError ? new TamperError(`${error.message}; and ${forged}`) : error
  })

  const size = tree.size()
  if (size < trusted.size)
    throw new TamperError(`the entries from index ${size} to ${trusted.size - 1} are missing: the trusted checkpoint covers them`)
  if (!note.done || size !== trail.size)
    throw new TamperError(`the entries from index ${size} on are missing: a stored checkpoint covers ${trail.size}`)
  if (forged) throw new TamperError(forged)
  const partitions = (await trail.counts?.()) ?? []
  checkCounts(partitions)
  const twice = await trail.doubled?.()
  if (twice) throw doubles(twice)
  return { size, checkpoints: passed, partitions }
}
