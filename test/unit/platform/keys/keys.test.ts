import { execFile } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { checkKeys } from '../../../../src/app/required-keys.ts'
import { main } from '../../../../src/commands/keys.ts'
import { readConfig } from '../../../../src/config.ts'
import { serviceNames } from '../../../../src/environment.ts'
import { type DataKeySet, initKeys, type KeySet, type PublicKeys } from '../../../../src/platform/keys/key-files.ts'
import { createKeyStore } from '../../../../src/platform/keys/key-store.ts'
import { KeysError } from '../../../../src/platform/keys/keys-error.ts'
import { rotateKeys } from '../../../../src/platform/keys/rotate-keys.ts'
import { childEnvironment } from '../../../../testing/child-environment.ts'
import { eventually } from '../../../../testing/eventually.ts'
import { runMain } from '../../../../testing/run-main.ts'
import { runToEnd } from '../../../../testing/service.ts'

const temporary = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-keys-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
const madeKeys = async (t: Test): Promise<string> => {
  const folder = join(temporary(t), 'keys')
  await initKeys(folder, serviceNames)
  return folder
}
const read = <T>(folder: string, file: string): T => JSON.parse(readFileSync(join(folder, file), 'utf8'))
const kids = ({ keys }: KeySet) => keys.map(({ kid }) => kid)
const publicKids = (folder: string, purpose: string) => kids(read<PublicKeys>(folder, 'public.json')[purpose] as KeySet)

/** Runs `node src/keys.ts …` as a process. */
const command = (...args: string[]): Promise<{ status: number; out: string; err: string }> =>
  new Promise((resolve) => {
    const entry = new URL('../../../../src/keys.ts', import.meta.url).pathname
    execFile(process.execPath, [entry, ...args], { env: childEnvironment() }, (error, out, err) =>
      resolve({ status: error ? Number(error.code) : 0, out, err }),
    )
  })

/** The same in this process. */
const inProcess = async (t: Test, ...args: string[]): Promise<{ status: number; out: string; err: string }> => {
  const { status, stdout, stderr } = await runMain(t, () => main(args, process.env))
  return { status, out: stdout, err: stderr }
}

/** Makes the keys older by this time. */
const age = (folder: string, seconds: number): void => {
  for (const file of readdirSync(folder)) {
    const older = readFileSync(join(folder, file), 'utf8').replaceAll(
      /"active_at": "([^"]+)"/g,
      (_all, at) => `"active_at": "${new Date(Date.parse(at) - seconds * 1000).toISOString()}"`,
    )
    writeFileSync(join(folder, file), older)
  }
}

t.test('init creates every key, private ones readable only by their owner, and keeps existing ones', async (t) => {
  const folder = join(temporary(t), 'new', 'keys')
  t.match(await command('init', folder), { status: 0, out: /created in .*access-token.*service-gateway.*audit-entry-audit/ })
  for (const file of readdirSync(folder)) {
    const { mode } = statSync(join(folder, file))
    t.equal(mode & 0o777, file === 'public.json' ? 0o644 : 0o600, file)
  }
  t.equal(statSync(folder).mode & 0o777, 0o700)
  t.notMatch(readFileSync(join(folder, 'public.json'), 'utf8'), /"d":/, 'no private key is published')
  const before = readFileSync(join(folder, 'public.json'), 'utf8')
  t.match(await command('init', folder), { status: 0, out: /every key already/ })
  t.equal(readFileSync(join(folder, 'public.json'), 'utf8'), before)
})

t.test('init fills an existing folder, and adds the keys of a new service', async (t) => {
  const folder = temporary(t)
  await initKeys(folder, ['user'])
  const before = read<PublicKeys>(folder, 'public.json')
  const ring = readFileSync(join(folder, 'data-keys.private.json'), 'utf8')
  t.strictSame(await initKeys(folder, ['user', 'order']), ['service-order', 'audit-entry-order'])
  const after = read<PublicKeys>(folder, 'public.json')
  t.strictSame({ ...after, ...before }, after, 'existing keys are kept')
  t.ok(existsSync(join(folder, 'service-order.private.json')))
  t.equal(readFileSync(join(folder, 'data-keys.private.json'), 'utf8'), ring)
})

t.test('processes that create keys concurrently use the same ones', async (t) => {
  const folder = join(temporary(t), 'keys')
  const results = await Promise.all(Array.from({ length: 3 }, () => command('init', folder)))
  t.strictSame(
    results.map(({ status }) => status),
    [0, 0, 0],
  )
  t.equal(results.filter(({ out }) => out.startsWith('created')).length, 1)
  t.strictSame(kids(read(folder, 'access-token.private.json')), publicKids(folder, 'access-token'))
  t.notOk(
    readdirSync(folder).some((file) => file.startsWith('.')),
    'no temporary files remain',
  )
})

t.test('an error is one line', async (t) => {
  const folder = temporary(t)
  writeFileSync(join(folder, 'file'), '')
  t.match(await command('init', join(folder, 'file')), { status: 1, err: /^\S+ cannot be used as a key folder [^\n]*\n$/ })
  for (const bad of [join(folder, 'file'), join(folder, 'file', 'x'), '/proc/none']) {
    const { status, err } = await inProcess(t, 'init', bad)
    t.equal(status, 1)
    t.match(err, new RegExp(`^${bad} cannot be used as a key folder [^\\n]*\\n$`))
  }
  t.match(await inProcess(t, 'rotate', folder), { status: 1, err: /^\S+public\.json cannot be read \(ENOENT\)\n$/ })
  t.match(await inProcess(t, 'rotate', await madeKeys(t), 'service-nobody'), { status: 1, err: /has no service-nobody; it has / })
  for (const wrong of [
    [],
    ['init'],
    ['forge', folder],
    ['secrets'],
    ['secrets', '.x'],
    ['secrets', 'x', 'y'],
    ['rotate', folder, '--after', 'soon'],
    ['rotate', folder, '--after', '119'],
    ['init', folder, '--force'],
    ['init', folder, '--x'],
  ])
    t.match(await inProcess(t, ...wrong), { status: 64, err: /usage:/ })
  t.match(await inProcess(t, 'secrets', 'keys'), { status: 1, err: /^KUBERNETES_SERVICE_HOST is missing: [^\n]*\n$/ })
  t.match(await inProcess(t, '--help'), { status: 0, out: /rotate DIR \[--after SECONDS\] \[--force\]/, err: '' })
})

t.test('rotate publishes new keys at once and uses them later', async (t) => {
  const folder = await madeKeys(t)
  const store = createKeyStore({ folder, strict: true })
  const old = store.signer('access-token').kid
  const oldRing = store.data().current.id
  t.match(await inProcess(t, 'rotate', folder, '--after', '3600'), { status: 0, out: /access-token: a new key from 2/ })
  const [kept, added = ''] = publicKids(folder, 'access-token')
  t.equal(kept, old)
  t.ok(store.verifier('access-token', added), 'an unknown key makes the store read the file again')
  t.equal(createKeyStore({ folder, strict: true }).signer('access-token').kid, old)
  t.equal(createKeyStore({ folder, strict: true }).data().current.id, oldRing)
  for (const purpose of Object.keys(read<PublicKeys>(folder, 'public.json')))
    t.equal(publicKids(folder, purpose).length, 2, purpose)

  age(folder, 3601)
  await eventually(() => store.signer('access-token').kid === added)
  await eventually(() => store.data().current.id !== oldRing)
  t.ok(store.data().byId(oldRing), 'the ring still has the old key')
})

t.test('rotate with names rotates only those keys', async (t) => {
  const folder = await madeKeys(t)
  await inProcess(t, 'rotate', folder, '--after', '0', '--force', 'service-order', 'data-keys')
  t.equal(publicKids(folder, 'service-order').length, 2)
  t.equal(publicKids(folder, 'access-token').length, 1)
  t.equal(read<DataKeySet>(folder, 'data-keys.private.json').keys.length, 2)
})

t.test(
  'keys are removed when everything that they signed has expired, except those of the audit trail and of the data',
  async (t) => {
    const folder = await madeKeys(t)
    const first = publicKids(folder, 'access-token')[0] as string
    const rotate = () => rotateKeys({ folder, afterSeconds: 0, names: [] })
    await rotate()
    age(folder, 14 * 60)
    await rotate()
    t.ok(publicKids(folder, 'access-token').includes(first), 'a token of ten minutes may still be valid')
    age(folder, 2 * 60)
    await rotate()
    t.notOk(publicKids(folder, 'access-token').includes(first))
    t.equal(createKeyStore({ folder, strict: true }).verifier('access-token', first), undefined)
    for (const purpose of ['access-token', 'service-order']) {
      t.equal(publicKids(folder, purpose).length, 3, purpose)
      t.strictSame(publicKids(folder, purpose), kids(read(folder, `${purpose}.private.json`)))
    }
    for (const purpose of ['audit-entry-order', 'audit-checkpoint']) {
      t.equal(publicKids(folder, purpose).length, 4, purpose)
      t.equal(kids(read(folder, `${purpose}.private.json`)).length, 3, 'an old private key is not needed')
    }
    t.equal(read<DataKeySet>(folder, 'data-keys.private.json').keys.length, 4)
  },
)

t.test('concurrent rotations lose no key, and keep the mode of the files', async (t) => {
  const folder = await madeKeys(t)
  chmodSync(join(folder, 'service-user.private.json'), 0o640)
  const results = await Promise.all(Array.from({ length: 3 }, () => command('rotate', folder, '--after', '0', '--force')))
  t.strictSame(
    results.map(({ status }) => status),
    [0, 0, 0],
  )
  t.equal(publicKids(folder, 'access-token').length, 4)
  t.strictSame(publicKids(folder, 'access-token'), kids(read(folder, 'access-token.private.json')))
  t.equal(statSync(join(folder, 'service-user.private.json')).mode & 0o777, 0o640)
})

t.test('the lock of a killed process is released', async (t) => {
  const folder = await madeKeys(t)
  const ended = await new Promise<number>((resolve) => {
    const child = execFile(process.execPath, ['-e', ''], () => resolve(child.pid as number))
  })
  writeFileSync(join(folder, '.lock'), String(ended))
  t.match(await inProcess(t, 'rotate', folder, 'access-token'), { status: 0 })
  t.equal(publicKids(folder, 'access-token').length, 2)
})

t.test('a file that becomes invalid while in use does not replace the known keys', async (t) => {
  const folder = await madeKeys(t)
  const store = createKeyStore({ folder, strict: true })
  const { kid } = store.signer('access-token')
  t.ok(store.verifier('access-token', kid))
  writeFileSync(join(folder, 'public.json'), '{"access-token":')
  t.equal(store.verifier('access-token', 'unknown'), undefined, 'this reads the file')
  t.ok(store.verifier('access-token', kid))
  t.throws(() => createKeyStore({ folder, strict: true }).published('access-token'), { name: 'KeysError' })
})

t.test('a process needs exactly the keys of its own service', async (t) => {
  const own: Record<string, string[]> = {
    gateway: ['service-gateway', 'audit-entry-gateway'],
    user: ['service-user', 'audit-entry-user', 'access-token', 'data-keys'],
    order: ['service-order', 'audit-entry-order'],
    product: ['service-product', 'audit-entry-product'],
    notification: ['service-notification', 'audit-entry-notification'],
    audit: ['service-audit', 'audit-entry-audit', 'audit-checkpoint'],
  }
  const all = await madeKeys(t)
  const env = {
    NODE_ENV: 'production',
    DATABASE_URL: 'postgres://nowhere/x',
    USER_SERVICE_URL: 'http://127.0.0.1:1',
    AUDIT_SERVICE_URL: 'http://127.0.0.1:1',
  }
  for (const [service, names] of Object.entries(own)) {
    const folder = join(temporary(t), service)
    mkdirSync(folder)
    const files = [...names.map((name) => `${name}.private.json`), 'public.json']
    for (const file of files) writeFileSync(join(folder, file), readFileSync(join(all, file)), { mode: 0o600 })
    const config = readConfig({ ...env, SERVICE: service, KEYS_DIR: folder })
    t.doesNotThrow(() => checkKeys(config), service)
    for (const file of files) {
      const path = join(folder, file)
      const bytes = readFileSync(path)
      rmSync(path)
      t.throws(() => checkKeys(config), { name: 'KeysError', message: new RegExp(`^${path} is missing: [^\\n]*$`) }, file)
      writeFileSync(path, bytes, { mode: 0o600 })
      chmodSync(path, 0o606)
      t.throws(() => checkKeys(config), { name: 'KeysError', message: new RegExp(`^${path} is [^\\n]*everybody[^\\n]*$`) }, file)
      chmodSync(path, 0o600)
    }
  }
})

t.test('a process that calls no other service needs no service key', async (t) => {
  const folder = await madeKeys(t)
  for (const name of serviceNames) rmSync(join(folder, `service-${name}.private.json`))
  const env = { NODE_ENV: 'production', DATABASE_URL: 'postgres://nowhere/x', KEYS_DIR: folder }
  t.doesNotThrow(() => checkKeys(readConfig(env)))
  const others = { USER_SERVICE_URL: 'http://127.0.0.1:1', PRODUCT_SERVICE_URL: 'http://127.0.0.1:1' }
  t.throws(() => checkKeys(readConfig({ ...env, ...others, SERVICE: 'order' })), { message: /service-order\S+ is missing/ })
})

t.test('a production start without a key fails with one line', async (t) => {
  const folder = await madeKeys(t)
  const env = {
    NODE_ENV: 'production',
    KEYS_DIR: folder,
    DATABASE_URL: 'postgres://127.0.0.1:1/x',
    USER_SERVICE_URL: 'http://127.0.0.1:1',
    PRODUCT_SERVICE_URL: 'http://127.0.0.1:1',
  }
  chmodSync(join(folder, 'service-order.private.json'), 0o604)
  t.match(await runToEnd('order', env), {
    status: 78,
    output: /^\S+service-order\.private\.json is readable by everybody[^\n]*\n$/,
  })
  rmSync(join(folder, 'service-order.private.json'))
  t.match(await runToEnd('order', env), { status: 78, output: /^\S+service-order\.private\.json is missing[^\n]*\n$/ })
})

t.test('each missing key has a line, and AUTH=off needs fewer keys', (t) => {
  const folder = temporary(t)
  const check = (AUTH: string) => {
    try {
      const env = { SERVICE: 'user', DATABASE_URL: 'postgres://nowhere/x', AUDIT_SERVICE_URL: 'http://127.0.0.1:1' }
      checkKeys(readConfig({ ...env, AUTH, KEYS_DIR: folder }))
    } catch (error) {
      t.ok(error instanceof KeysError)
      return (error as Error).message.split('\n').length
    }
    return 0
  }
  t.equal(check('on'), 5)
  t.equal(check('off'), 3)
  t.end()
})
