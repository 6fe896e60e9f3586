import { createPublicKey, hash, verify } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openCheckpoint, signCheckpoint } from '../../../../../src/modules/audit/sealing/checkpoint.ts'
import { initKeys } from '../../../../../src/platform/keys/key-files.ts'
import { createKeyStore } from '../../../../../src/platform/keys/key-store.ts'

const newKeys = async (t: Test) => {
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-keys-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await initKeys(join(folder, 'keys'), ['audit'])
  return createKeyStore({ folder: join(folder, 'keys'), strict: false })
}

const root = Buffer.alloc(32, 7)

t.test('a checkpoint is a C2SP note: origin, size, root, an Ed25519 signature with the key’s hash', async (t) => {
  const keys = await newKeys(t)
  const note = signCheckpoint(keys, { size: 1234, root })
  const [origin = '', size, base64, empty, signature = '', end, ...rest] = note.split('\n')
  t.same([origin, size, base64, empty, end, rest], ['orderhub/audit', '1234', root.toString('base64'), '', '', []])
  const [dash, name, encoded = ''] = signature.split(' ')
  t.same([dash, name], ['—', origin])
  const bytes = Buffer.from(encoded, 'base64')
  t.equal(bytes.length, 4 + 64)
  const jwk = keys.published('audit-checkpoint').keys[0]
  const raw = Buffer.from(jwk?.x as string, 'base64url')
  const expected = hash('sha256', Buffer.concat([Buffer.from(origin), Buffer.from([0x0a, 0x01]), raw]), 'buffer')
  t.same(bytes.subarray(0, 4), expected.subarray(0, 4))
  const text = Buffer.from(note.slice(0, note.indexOf('\n\n') + 1))
  t.ok(verify(null, text, createPublicKey({ key: jwk as never, format: 'jwk' }), bytes.subarray(4)))
})

t.test('only notes that were signed with this log’s key are accepted', async (t) => {
  const keys = await newKeys(t)
  const note = signCheckpoint(keys, { size: 5, root })
  t.same(openCheckpoint(keys, note), { size: 5, root })
  const [text = '', signature = ''] = note.split('\n\n')
  const other = '— witness.example AAAAAAAA\n'
  t.same(openCheckpoint(keys, `${text}\n\n${other}${signature}`), { size: 5, root }, 'additional signatures are allowed')

  const forgeries = {
    'another size': note.replace('\n5\n', '\n6\n'),
    'another root': note.replace(root.toString('base64'), Buffer.alloc(32, 8).toString('base64')),
    'another origin': note.replaceAll('orderhub/audit', 'orderhub/other'),
    'another name in the signature line': note.replace('— orderhub/audit', '— orderhub/other'),
    'a changed signature': note.replace(/.(?=.{5}\n$)/, (c) => (c === 'A' ? 'B' : 'A')),
    'no signature': `${text}\n\n`,
    'a size with a leading zero': note.replace('\n5\n', '\n05\n'),
    'more text after the signature': `${note}more\n`,
    'a line added to the text': note.replace('\n\n', '\nextension\n\n'),
    nothing: '',
    'a foreign key': signCheckpoint(await newKeys(t), { size: 5, root }),
  }
  for (const [what, forged] of Object.entries(forgeries)) {
    t.not(forged, note)
    t.equal(openCheckpoint(keys, forged), undefined, what)
  }
})
