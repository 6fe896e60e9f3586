import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createPersonalData, type Sealed } from '../../../../src/modules/user/personal-data.ts'
import {
  type DataKeySet,
  dataKeysFile,
  initKeys,
  newDataKey,
  readJson,
  writeJson,
} from '../../../../src/platform/keys/key-files.ts'
import { createKeyStore } from '../../../../src/platform/keys/key-store.ts'

const parent = mkdtempSync(join(tmpdir(), 'orderhub-keys-'))
const folder = join(parent, 'keys')
await initKeys(folder, ['user'])
t.teardown(() => rm(parent, { recursive: true, force: true }))

/** Uses the current keys in the folder. */
const open = () => createPersonalData(createKeyStore({ folder, strict: true }))
const ada = { name: 'Ada Lovelace', email: 'Ada@example.com', phone: '+886900000001' }
const sealed = (id: number, person = ada): Sealed => ({ id, ...open().seal(id, person) })

t.test('encrypted data can be decrypted and does not contain the plain text', async (t) => {
  const one = sealed(1)
  t.same(open().open(one), ada)
  t.same(open().open(sealed(2, { ...ada, phone: null as never })), { ...ada, phone: null })
  const bytes = Buffer.concat([one.personal, one.data_key]).toString('latin1')
  for (const text of Object.values(ada)) t.notOk(bytes.includes(text))
  t.notSame(sealed(1).personal, one.personal, 'each row has its own key and nonce')
})

t.test('data that was copied to another user is refused, whole or in part', async (t) => {
  const [one, two] = [sealed(1), sealed(2, { ...ada, name: 'Grace Hopper' })]
  const data = open()
  for (const swapped of [
    { ...one, id: 2 },
    { ...two, personal: one.personal },
    { ...two, data_key: one.data_key },
    { ...two, personal: one.personal, data_key: one.data_key, ring_key: one.ring_key },
  ])
    t.throws(() => data.open(swapped))
  const secret = data.sealSecret(one, Buffer.from('totp'))
  t.equal(data.openSecret(one, secret).toString(), 'totp')
  t.throws(() => data.openSecret({ ...one, id: 2 }, secret))
  t.throws(() => data.openSecret(two, secret))
  t.throws(() => data.openSecret(one, one.personal), 'a value of another kind')
})

t.test('every changed byte is refused', async (t) => {
  const one = sealed(1)
  const data = open()
  for (const column of ['personal', 'data_key'] as const) {
    for (let n = 0; n < one[column].length; n++) {
      const bytes = Buffer.from(one[column])
      bytes[n] = (bytes[n] as number) ^ 1
      if (!throws(() => data.open({ ...one, [column]: bytes }))) t.fail(`byte ${n} of ${column}`)
    }
    for (const length of [0, 11, 27, one[column].length - 1])
      t.throws(() => data.open({ ...one, [column]: one[column].subarray(0, length) }), `${length} bytes of ${column}`)
  }
})

t.test('changed data keeps its key; the look-up hash ignores case', async (t) => {
  const one = sealed(1)
  const data = open()
  const changed = { ...one, personal: data.reseal(one, { ...ada, name: 'Ada King' }) }
  t.same(data.open(changed), { ...ada, name: 'Ada King' })
  t.same(data.lookup('ADA@Example.COM'), data.lookup('ada@example.com'))
  t.notSame(data.lookup('ada@example.com'), data.lookup('ada@example.org'))
})

t.test('a new key of the ring wraps new data keys, and existing ones can be rewrapped', async (t) => {
  const old = sealed(1)
  const ring = readJson<DataKeySet>(folder, dataKeysFile)
  const next = newDataKey(new Date())
  const later = newDataKey(new Date(Date.now() + 3_600_000))
  writeJson(folder, dataKeysFile, { ...ring, keys: [...ring.keys, next, later] }, 0o600)
  t.equal(sealed(2).ring_key, next.id, 'a key that is not active yet is not used')
  t.same(open().open(old), ada, 'the old key still decrypts')
  const moved = { ...old, ...open().rewrap(old) }
  t.equal(moved.ring_key, next.id)

  writeJson(folder, dataKeysFile, { ...ring, keys: [next] }, 0o600)
  t.same(open().open(moved), ada)
  t.throws(() => open().open(old), /the key ring has no key/)
})

const throws = (run: () => unknown): boolean => {
  try {
    run()
    return false
  } catch {
    return true
  }
}
