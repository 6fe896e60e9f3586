import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { apiUrl, keepKeysInSecrets } from '../../../src/app/kubernetes-secrets.ts'
import { checkKeys } from '../../../src/app/required-keys.ts'
import { readConfig } from '../../../src/config.ts'
import { serviceNames } from '../../../src/environment.ts'
import { type DataKeySet, initKeys, type PublicKeys } from '../../../src/platform/keys/key-files.ts'
import { rotateKeys } from '../../../src/platform/keys/rotate-keys.ts'
import { certificateFolder, createAuthority, hasOpenssl } from '../../../testing/certificates.ts'

if (!hasOpenssl()) {
  t.pass('skipped: openssl is not installed')
  process.exit()
}

const certificates = certificateFolder(t)
const authority = createAuthority(certificates, 'cluster')
const { certFile, keyFile } = authority.issue('api')
const stranger = createAuthority(certificates, 'stranger')
const token = 'token-of-the-hook'
const prefix = 'shop-keys'
const names = [prefix, ...serviceNames.map((name) => `${prefix}-${name}`)]

interface Stored {
  metadata: { name: string; resourceVersion: string; labels?: Record<string, string> }
  type?: string
  data: Record<string, string>
}

/** A fake of the Kubernetes API for Secrets: with resource versions, conflicts, and permissions by name. */
const startApi = async (t: Test, allowed: readonly string[] = names) => {
  const stored = new Map<string, Stored>()
  const writes: string[] = []
  let version = 0
  /** Runs before each write, like a concurrent client. */
  let before: (name: string) => void = () => {}
  const store = (name: string, body: Stored): Stored => {
    version += 1
    const secret = { ...body, metadata: { ...body.metadata, name, resourceVersion: String(version) } }
    stored.set(name, secret)
    return secret
  }

  const answer = (
    method: string,
    path: string,
    authorization: string | undefined,
    body: Stored | undefined,
  ): [number, object] => {
    const status = (code: number, message: string): [number, object] => [code, { kind: 'Status', code, message }]
    if (authorization !== `Bearer ${token}`) return status(401, 'Unauthorized')
    const [, collection, inPath] = /^(\/api\/v1\/namespaces\/shop\/secrets)(?:\/([a-z-]+))?$/.exec(path) ?? []
    if (!collection) return status(404, 'the server could not find the requested resource')
    const name = inPath ?? body?.metadata.name ?? ''
    if (inPath && !allowed.includes(name)) return status(403, `secrets "${name}" is forbidden`)
    if (method === 'GET') {
      const found = stored.get(name)
      return found ? [200, found] : status(404, `secrets "${name}" not found`)
    }
    if (!body || !Object.values(body.data).every((value) => Buffer.from(value, 'base64').toString('base64') === value))
      return status(400, 'illegal base64 data')
    before(name)
    const found = stored.get(name)
    if (method === 'POST' && found) return status(409, `secrets "${name}" already exists`)
    if (method === 'PUT' && !found) return status(404, `secrets "${name}" not found`)
    if (method === 'PUT' && found?.metadata.resourceVersion !== body.metadata.resourceVersion)
      return status(409, 'the object has been modified')
    writes.push(`${method} ${name}`)
    return [method === 'POST' ? 201 : 200, store(name, body)]
  }

  const server = createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, async (incoming, response) => {
    const text = (await incoming.toArray()).join('')
    const { method = '', url = '', headers } = incoming
    const [status, body] = answer(method, url, headers.authorization, text ? JSON.parse(text) : undefined)
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stored,
    writes,
    store,
    beforeWrite: (does: (name: string) => void) => {
      before = does
    },
    secret: (name: string): Stored => {
      const found = stored.get(name)
      if (!found) throw new Error(`there is no Secret ${name}`)
      return found
    },
  }
}

const credentials = (t: Test, own: Record<string, string> = {}): string => {
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-account-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const files = { token: `${token}\n`, namespace: 'shop', 'ca.crt': readFileSync(authority.caFile, 'utf8'), ...own }
  for (const [file, content] of Object.entries(files)) writeFileSync(join(folder, file), content)
  return folder
}

/** A folder with the files of a Secret, as mounted in a pod. */
const mounted = (t: Test, { data }: Stored): string => {
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-mounted-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  for (const [file, content] of Object.entries(data))
    writeFileSync(join(folder, file), Buffer.from(content, 'base64'), { mode: 0o440 })
  return folder
}
const decoded = <T>({ data }: Stored, file: string): T => JSON.parse(Buffer.from(data[file] ?? '', 'base64').toString())
const snapshot = (stored: Map<string, Stored>) => JSON.stringify([...stored].map(([name, { data }]) => [name, data]).sort())

t.test('creates one Secret with all keys, and one for each service with exactly the keys that it needs', async (t) => {
  const api = await startApi(t)
  t.strictSame(await keepKeysInSecrets(prefix, serviceNames, api.url, credentials(t)), names)
  t.strictSame([...api.stored.keys()], names)
  for (const name of serviceNames) {
    const KEYS_DIR = mounted(t, api.secret(`${prefix}-${name}`))
    const env = { NODE_ENV: 'production', DATABASE_URL: 'postgres://nowhere/x', KEYS_DIR }
    t.doesNotThrow(() => checkKeys(readConfig({ ...env, SERVICE: name })), name)
    for (const other of serviceNames.filter((other) => other !== name))
      t.throws(() => checkKeys(readConfig({ ...env, SERVICE: other })), { name: 'KeysError' }, `${name} has no keys of ${other}`)
  }
  const KEYS_DIR = mounted(t, api.secret(prefix))
  t.doesNotThrow(() => checkKeys(readConfig({ NODE_ENV: 'production', DATABASE_URL: 'postgres://nowhere/x', KEYS_DIR })))
  t.match(api.secret(prefix).metadata.labels, { 'app.kubernetes.io/managed-by': 'orderhub-keys' })
})

t.test('writes nothing if nothing is missing, and restores deleted Secrets', async (t) => {
  const api = await startApi(t)
  const again = () => keepKeysInSecrets(prefix, serviceNames, api.url, credentials(t))
  await again()
  const before = snapshot(api.stored)
  t.strictSame(await again(), [])
  api.stored.delete(`${prefix}-order`)
  t.strictSame(await again(), [`${prefix}-order`])
  api.stored.delete(prefix)
  t.strictSame(await again(), [prefix], 'the services still have all keys')
  t.equal(snapshot(api.stored), before)
})

t.test('adds the keys of a new service, and keeps existing keys and other data', async (t) => {
  const api = await startApi(t)
  await keepKeysInSecrets(prefix, ['user', 'order'], api.url, credentials(t))
  const before = decoded<PublicKeys>(api.secret(prefix), 'public.json')
  const ring = api.secret(prefix).data['data-keys.private.json']
  api.store(prefix, { ...api.secret(prefix), data: { ...api.secret(prefix).data, note: 'aGVsbG8=' } })
  await keepKeysInSecrets(prefix, ['user', 'order', 'audit'], api.url, credentials(t))
  const after = decoded<PublicKeys>(api.secret(prefix), 'public.json')
  t.strictSame({ ...after, ...before }, after)
  t.ok(after['service-audit'])
  t.equal(api.secret(prefix).data['data-keys.private.json'], ring)
  t.equal(api.secret(prefix).data.note, 'aGVsbG8=')
  t.equal(api.secret(`${prefix}-order`).data['public.json'], api.secret(prefix).data['public.json'])
})

t.test('concurrent runs agree on one set of keys', async (t) => {
  const api = await startApi(t)
  await Promise.all(Array.from({ length: 4 }, () => keepKeysInSecrets(prefix, serviceNames, api.url, credentials(t))))
  t.strictSame([...new Set(api.writes)].length, api.writes.length, 'each Secret was written once')
  const all = api.secret(prefix).data
  for (const name of serviceNames) {
    const { data } = api.secret(`${prefix}-${name}`)
    t.strictSame({ ...all, ...data }, all, name)
  }
})

t.test('a Secret that changes concurrently is read again', async (t) => {
  const api = await startApi(t)
  await keepKeysInSecrets(prefix, ['user'], api.url, credentials(t))
  let changes = 0
  api.beforeWrite((name) => {
    if (changes++ === 0) api.store(name, { ...api.secret(name), type: 'Opaque' })
  })
  await keepKeysInSecrets(prefix, ['user', 'order'], api.url, credentials(t))
  t.equal(api.secret(prefix).type, 'Opaque', 'the other change is not lost')
  t.ok(api.secret(prefix).data['service-order.private.json'])

  api.beforeWrite((name) => {
    if (api.stored.has(name)) api.store(name, api.secret(name))
  })
  await t.rejects(keepKeysInSecrets(prefix, ['user', 'order', 'audit'], api.url, credentials(t)), {
    name: 'KeysError',
    message: `other processes keep changing the Secrets ${prefix}`,
  })
})

t.test('a rotation in the Secret with all keys is copied to the services, and no data key is lost', async (t) => {
  const api = await startApi(t)
  const run = () => keepKeysInSecrets(prefix, serviceNames, api.url, credentials(t))
  await run()
  const rotated = async (secret: Stored): Promise<Stored> => {
    const folder = mounted(t, secret)
    await rotateKeys({ folder, afterSeconds: 0, names: ['data-keys', 'service-order'] })
    const file = (name: string) => readFileSync(join(folder, name), 'base64')
    return { ...secret, data: Object.fromEntries(Object.keys(secret.data).map((name) => [name, file(name)])) }
  }
  api.store(prefix, await rotated(api.secret(prefix)))
  await run()
  const ofUser = api.secret(`${prefix}-user`)
  t.equal(decoded<DataKeySet>(ofUser, 'data-keys.private.json').keys.length, 2)
  for (const name of serviceNames)
    t.equal(decoded<PublicKeys>(api.secret(`${prefix}-${name}`), 'public.json')['service-order']?.keys.length, 2, name)

  const ring = decoded<DataKeySet>(ofUser, 'data-keys.private.json')
  const more = { ...ring, keys: [...ring.keys, { ...ring.keys[0], id: 'made-by-hand' }] }
  const text = Buffer.from(JSON.stringify(more)).toString('base64')
  api.store(`${prefix}-user`, { ...ofUser, data: { ...ofUser.data, 'data-keys.private.json': text } })
  await t.rejects(run(), { name: 'KeysError', message: /^Secret shop-keys-user has keys .* that shop-keys lacks/ })
  t.equal(api.secret(`${prefix}-user`).data['data-keys.private.json'], text)
})

t.test('a lost private key is not replaced', async (t) => {
  const api = await startApi(t)
  const folder = join(credentials(t), 'keys')
  mkdirSync(folder)
  await initKeys(folder, serviceNames)
  const publicKeys = readFileSync(join(folder, 'public.json'), 'base64')
  api.store(prefix, { metadata: { name: prefix, resourceVersion: '1' }, data: { 'public.json': publicKeys } })
  await t.rejects(keepKeysInSecrets(prefix, serviceNames, api.url, credentials(t)), {
    name: 'KeysError',
    message: /^Secret shop-keys lacks .*data-keys\.private\.json.*: restore it$/,
  })
  t.strictSame(api.writes, [])
})

t.test('an error is one line', async (t) => {
  const api = await startApi(t, [prefix])
  const run = (folder: string, url = api.url) => keepKeysInSecrets(prefix, serviceNames, url, folder)
  const says = (message: RegExp) => ({ name: 'KeysError', message })
  await t.rejects(run(credentials(t)), says(/returned 403: secrets "shop-keys-\w+" is forbidden$/))
  await t.rejects(run(credentials(t, { token: 'other' })), says(/returned 401: Unauthorized$/))
  const caOfStranger = readFileSync(stranger.caFile, 'utf8')
  await t.rejects(run(credentials(t, { 'ca.crt': caOfStranger })), says(/does not respond \(.*(CERT|SIGNATURE|ISSUER).*\)$/i))
  await t.rejects(run(credentials(t), 'https://127.0.0.1:1'), says(/does not respond \(ECONNREFUSED\)$/))
  await t.rejects(run('/nowhere'), says(/^\/nowhere\/token cannot be read \(ENOENT\)/))
  t.throws(() => apiUrl({}), says(/runs in a pod$/))
  t.equal(apiUrl({ KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' }), 'https://[fd00::1]:6443')
  t.strictSame(api.writes, [])
})
