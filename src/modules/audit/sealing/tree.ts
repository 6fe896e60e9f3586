import { hash } from 'node:crypto'

/** A complete subtree: the 2^level leaves from index * 2^level on. */
export interface LeafPosition {
  readonly level: number
  readonly index: number
}
export interface TreeNode extends LeafPosition {
  readonly hash: Buffer
}

const sha256 = (...parts: readonly Uint8Array[]): Buffer => hash('sha256', Buffer.concat(parts), 'buffer')
const leafPrefix = Buffer.from([0])
const nodePrefix = Buffer.from([1])

/** RFC 9162, 2.1.1. */
export const leafHash = (entry: Uint8Array): Buffer => sha256(leafPrefix, entry)
export const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer => sha256(nodePrefix, left, right)

/** The largest complete subtrees that cover the leaves from `start` to before `end`, from left to right. */
const cover = (start: number, end: number): LeafPosition[] => {
  const parts: LeafPosition[] = []
  for (let at = start; at < end; ) {
    let level = 0
    while (at % 2 ** (level + 1) === 0 && at + 2 ** (level + 1) <= end) level++
    parts.push({ level, index: at / 2 ** level })
    at += 2 ** level
  }
  return parts
}

/** The complete subtrees of a tree of this size. */
export const peaksOf = (size: number): LeafPosition[] => cover(0, size)

/** The hash over neighbouring subtrees of descending size; without any, the empty tree's hash. */
const fold = (hashes: readonly Buffer[]): Buffer =>
  hashes.length === 0 ? sha256() : hashes.reduceRight((right, left) => nodeHash(left, right))

/** The subtrees of a leaf's inclusion proof, from the leaf up: each hash is over one list. */
export const inclusionParts = (leaf: number, size: number): LeafPosition[][] => {
  const path: LeafPosition[][] = []
  let [start, end] = [0, size]
  while (end - start > 1) {
    let half = 1
    while (half * 2 < end - start) half *= 2
    const middle = start + half
    if (leaf < middle) {
      path.push(cover(middle, end))
      end = middle
    } else {
      path.push(cover(start, middle))
      start = middle
    }
  }
  return path.reverse()
}

const nameOf = ({ level, index }: LeafPosition): string => `${level} ${index}`

/** Hashes by position. @throws Error for a missing node: the stored tree is incomplete */
export const lookUp = (nodes: readonly TreeNode[]): ((position: LeafPosition) => Buffer) => {
  const known = new Map(nodes.map((node) => [nameOf(node), node.hash]))
  return (position) => {
    const found = known.get(nameOf(position))
    if (!found) throw new Error(`the tree has no node ${nameOf(position)}`)
    return found
  }
}

/** The inclusion proof (RFC 9162, 2.1.3.1). `hashOf` knows the complete subtrees of `inclusionParts`. */
export const inclusionProof = (leaf: number, size: number, hashOf: (position: LeafPosition) => Buffer): Buffer[] =>
  inclusionParts(leaf, size).map((parts) => fold(parts.map(hashOf)))

/** A tree that grows to the right and keeps only its peaks. */
export interface Tree {
  size(): number
  /** Adds a leaf by its hash. Returns the subtrees above it that are now complete. */
  append(leaf: Buffer): TreeNode[]
  root(): Buffer
}

/** Continues a tree of `size` leaves with these peaks, in the order of `peaksOf`. */
export const createTree = (size = 0, peaks: readonly TreeNode[] = []): Tree => {
  const stack = [...peaks]
  let leaves = size
  return {
    size: () => leaves,
    append: (leaf) => {
      const completed: TreeNode[] = []
      let node: TreeNode = { level: 0, index: leaves, hash: leaf }
      for (let left = stack.at(-1); left?.level === node.level; left = stack.at(-1)) {
        stack.pop()
        node = { level: left.level + 1, index: left.index / 2, hash: nodeHash(left.hash, node.hash) }
        completed.push(node)
      }
      stack.push(node)
      leaves++
      return completed
    },
    root: () => fold(stack.map(({ hash }) => hash)),
  }
}
