import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { digestOf, withDigest } from '../../../deploy/release/digest.ts'

const sha = (letter: string) => `sha256:${letter.repeat(64)}`
const kustomization = `resources: [../../base]
images:
  - name: docker.io/library/postgres
    digest: ${sha('c')}
  - name: ghcr.io/orderhub/orderhub
    digest: ${sha('a')} # v1.2.2
patches: []
`

t.test('reads and replaces only the digest of our image', async (t) => {
  t.equal(digestOf(kustomization), sha('a'))
  t.equal(withDigest(kustomization, sha('b')), kustomization.replace(sha('a'), sha('b')))
  t.equal(digestOf(`images: [{ name: ghcr.io/orderhub/orderhub, digest: ${sha('a')} }]`), sha('a'))
})

t.test('refuses a file without exactly one digest of our image', async (t) => {
  for (const text of [
    'images: []',
    kustomization.replace(sha('a'), 'sha256:abc'),
    kustomization.replace('orderhub/orderhub', 'orderhub/orderhub-tools'),
    kustomization + kustomization,
  ]) {
    t.throws(() => digestOf(text), /expected one digest/)
    t.throws(() => withDigest(text, sha('b')), /expected one digest/)
  }
  for (const digest of ['latest', sha('B'), `${sha('b')}\nevil: true`, ''])
    t.throws(() => withDigest(kustomization, digest), /not a digest/)
})

t.test('the program reads and writes a file', async (t) => {
  const file = join(t.testdir({ 'kustomization.yaml': kustomization }), 'kustomization.yaml')
  const program = (...args: string[]) =>
    execFileSync(process.execPath, ['deploy/release/digest.ts', file, ...args], { encoding: 'utf8', stdio: 'pipe' })
  t.equal(program(), `${sha('a')}\n`)
  t.equal(program(sha('b')), '')
  t.equal(digestOf(readFileSync(file, 'utf8')), sha('b'))
  writeFileSync(file, 'images: []')
  t.throws(() => program(sha('b')))
})
