import { hash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import {
  createTree,
  inclusionParts,
  inclusionProof,
  leafHash,
  lookUp,
  nodeHash,
  peaksOf,
  type TreeNode,
} from '../../../../../src/modules/audit/sealing/tree.ts'

/** The leaves of the Certificate Transparency tests, and the roots of the first n leaves. */
const leaves = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'].map((hex) =>
  Buffer.from(hex, 'hex'),
)
const roots = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]

const grow = (count: number) => {
  const tree = createTree()
  const nodes: TreeNode[] = []
  for (let index = 0; index < count; index++) {
    const leaf = leafHash(Buffer.from(`leaf ${index}`))
    nodes.push({ level: 0, index, hash: leaf }, ...tree.append(leaf))
  }
  return { tree, nodes }
}

/** MTH of RFC 9162, 2.1.1, literally. */
const mth = (hashes: readonly Buffer[]): Buffer => {
  if (hashes.length === 0) return hash('sha256', Buffer.alloc(0), 'buffer')
  if (hashes.length === 1) return hashes[0] as Buffer
  let k = 1
  while (k * 2 < hashes.length) k *= 2
  return nodeHash(mth(hashes.slice(0, k)), mth(hashes.slice(k)))
}
/** PATH of RFC 9162, 2.1.3.1. */
const path = (m: number, hashes: readonly Buffer[]): Buffer[] => {
  if (hashes.length === 1) return []
  let k = 1
  while (k * 2 < hashes.length) k *= 2
  return m < k
    ? [...path(m, hashes.slice(0, k)), mth(hashes.slice(k))]
    : [...path(m - k, hashes.slice(k)), mth(hashes.slice(0, k))]
}

t.test('the roots of the Certificate Transparency leaves equal the published ones', async (t) => {
  const tree = createTree()
  t.equal(tree.root().toString('hex'), roots[0])
  for (const [n, leaf] of leaves.entries()) {
    tree.append(leafHash(leaf))
    t.equal(tree.root().toString('hex'), roots[n + 1], `of ${n + 1}`)
  }
})

t.test('a tree that continues from its peaks gets the same root', async (t) => {
  fc.assert(
    fc.property(fc.nat(300), fc.integer({ min: 1, max: 100 }), (first, more) => {
      const { tree: whole } = grow(first + more)
      const { nodes } = grow(first)
      const hashOf = lookUp(nodes)
      const again = createTree(
        first,
        peaksOf(first).map((position) => ({ ...position, hash: hashOf(position) })),
      )
      for (let n = first; n < first + more; n++) again.append(leafHash(Buffer.from(`leaf ${n}`)))
      return again.root().equals(whole.root()) && again.size() === first + more
    }),
    { numRuns: 60 },
  )
  t.throws(() => lookUp([])({ level: 3, index: 1 }), { message: /no node 3 1/ })
})

t.test('roots and inclusion proofs equal those of RFC 9162, for every leaf of every size', async (t) => {
  const most = 70
  const { nodes } = grow(most)
  const hashOf = lookUp(nodes)
  const hashes = nodes.filter(({ level }) => level === 0).map((node) => node.hash)
  let compared = 0
  for (let size = 1; size <= most; size++) {
    const some = hashes.slice(0, size)
    const { tree } = grow(size)
    if (!tree.root().equals(mth(some))) t.fail(`root of ${size}`)
    for (let leaf = 0; leaf < size; leaf++) {
      const proof = inclusionProof(leaf, size, hashOf)
      if (!Buffer.concat(proof).equals(Buffer.concat(path(leaf, some)))) t.fail(`proof of ${leaf} in ${size}`)
      compared++
    }
  }
  t.equal(compared, (most * (most + 1)) / 2)
})

t.test('a proof needs few nodes, even if indexes exceed 32 bits', async (t) => {
  const parts = inclusionParts(2 ** 33 + 5, 2 ** 34 + 12_345).flat()
  t.ok(parts.length < 60, `${parts.length}`)
  t.ok(parts.every(({ index }) => Number.isSafeInteger(index)))
  t.equal(
    peaksOf(2 ** 40 + 3).reduce((leaves, { level }) => leaves + 2 ** level, 0),
    2 ** 40 + 3,
  )
})
