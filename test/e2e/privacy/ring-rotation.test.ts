import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import t from 'tap'
import { serviceNames } from '../../../src/environment.ts'
import { createPersonalData } from '../../../src/modules/user/personal-data.ts'
import { createEncryptionMaintenanceRepository } from '../../../src/modules/user/privacy/encryption-maintenance-repository.ts'
import { createDatabase } from '../../../src/platform/db/database.ts'
import { type DataKeySet, dataKeysFile, initKeys, newDataKey, readJson, writeJson } from '../../../src/platform/keys/key-files.ts'
import { createKeyStore } from '../../../src/platform/keys/key-store.ts'
import { amounts } from '../../../testing/amounts.ts'
import { call, runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { startPostgres } from '../../../testing/postgres.ts'
import { startService } from '../../../testing/service.ts'

t.setTimeout(120_000)

const { usersOnRing: count } = amounts

t.test('a rewrap of a stale row does not overwrite a change or an erasure', async (t) => {
  const { api, databaseUrl, keysDir } = await runApp(t)
  const db = createDatabase({ url: databaseUrl, max: 2, statementTimeoutMs: 10_000, applicationName: 'test' })
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} })
  t.teardown(async () => {
    await db.close()
    await sql.end()
  })
  const keys = createKeyStore({ folder: keysDir, strict: false })
  const data = createPersonalData(keys)
  const repository = createEncryptionMaintenanceRepository(db, data)
  const rows = () => sql`select id, data_key, personal, name, email, status from users.users order by id`

  const outdated = await repository.wrappedBy(await repository.ringKeysInUse(), 0, 10)
  t.equal(outdated.length, 3)
  await api('/users/2', 'DELETE')
  await api('/users/3', 'PATCH', { name: 'Changed' })
  t.equal(await repository.rewrap(outdated.map((from) => ({ from, to: data.rewrap(from) }))), 2)
  t.equal(await repository.rewrap(outdated.map((from) => ({ from, to: data.rewrap(from) }))), 0, 'once')
  t.match((await rows())[1], { id: 2, data_key: null, personal: null, status: 'erased' })
  t.equal((await api('/users/3')).body.data.name, 'Changed')

  const plain = [4, 5, 6].map((id) => ({ id, version: 1, name: `Plain ${id}`, email: `plain${id}@example.com`, phone: null }))
  await sql`insert into users.users (name, email) select 'Plain ' || n, 'plain' || n || '@example.com' from generate_series(4, 6) n`
  t.equal((await api('/users/4', 'DELETE')).body.data.name, 'Plain 4')
  await api('/users/5', 'PATCH', { name: 'Changed' })
  const both = await Promise.all([repository.seal(plain), repository.seal(plain)])
  t.ok(both[0].sealed + both[1].sealed <= 1, 'sealed by one of them, once')
  t.same([both[0].doubled, both[1].doubled], [[], []])
  t.match((await rows())[3], { id: 4, data_key: null, personal: null, name: null, email: null, status: 'erased' })
  t.equal((await api('/users/5')).body.data.name, 'Changed')
  t.match((await rows())[5], { id: 6, name: null, email: null })
  t.equal((await api('/users/6')).body.data.name, 'Plain 6')
})

t.test('the ring of data keys is rotated under load without a failed request or a restart', async (t) => {
  const server = await startPostgres()
  const parent = mkdtempSync(join(tmpdir(), 'orderhub-ring-'))
  const keysDir = join(parent, 'keys')
  await initKeys(keysDir, serviceNames)
  const url = await server.createDatabase('users', ['user'])
  const sql = postgres(url, { max: 2, onnotice: () => {} })
  await sql`insert into users.users (name, email) select 'User ' || n, 'user' || n || '@example.com' from generate_series(1, ${count}) n`
  const env = { DATABASE_URL: url, KEYS_DIR: keysDir, LOG_LEVEL: 'info', DATA_DIR: parent }
  const services = await Promise.all([startService('user', env), startService('user', env)])
  t.teardown(async () => {
    await Promise.all(services.map((service) => service.kill()))
    await sql.end()
    await server.stop()
    await rm(parent, { recursive: true, force: true })
  })
  const on = async (ringKey: string) => {
    const [row] = await sql<{ n: number }[]>`select count(*)::int as n from users.users where ring_key = ${ringKey}`
    return row?.n
  }
  const ring = readJson<DataKeySet>(keysDir, dataKeysFile)
  const [old] = ring.keys as [DataKeySet['keys'][number]]
  await eventually(async () => (await on(old.id)) === count, { timeoutMs: 20_000 })

  let over = false
  let requests = 0
  const failures: unknown[] = []
  const names = new Map<number, string>()
  const erased = new Set<number>()
  /** Each lane has its own users, so that it knows the expected values. */
  const lane = async (n: number) => {
    for (let round = 0; !over; round++) {
      const id = 1 + n + ((round * 16) % (count - (count % 16)))
      const service = services[round % 2]
      const path = `${service?.url}/api/v1/users/${id}`
      const wanted = names.get(id) ?? `User ${id}`
      const read = await call(path)
      requests++
      if (erased.has(id) ? read.status !== 404 : read.body.data?.name !== wanted) failures.push([id, wanted, read])
      if (erased.has(id)) continue
      const erase = round % 5 === 4
      const change = erase ? await call(path, 'DELETE') : await call(path, 'PATCH', { name: `User ${id}.${round}` })
      requests++
      if (change.status !== 200) failures.push([id, erase, change])
      if (erase) erased.add(id)
      else names.set(id, `User ${id}.${round}`)
    }
  }
  const lanes = Array.from({ length: 8 }, (_, n) => lane(n))
  await eventually(() => requests > 100)
  const next = newDataKey(new Date())
  writeJson(keysDir, dataKeysFile, { ...ring, keys: [...ring.keys, next] }, 0o600)
  try {
    await eventually(async () => (await on(old.id)) === 0, { timeoutMs: 40_000 })
  } finally {
    over = true
    await Promise.all(lanes)
  }
  t.same(failures.slice(0, 3), [], `${requests} requests, none failed`)
  t.ok(erased.size > 0 && names.size > 0, 'including changes and erasures')
  await eventually(async () => (await on(next.id)) === count - erased.size, { timeoutMs: 20_000 })
  const [back] = await sql<
    { n: number }[]
  >`select count(*)::int as n from users.users where status = 'erased' and (data_key is not null or personal is not null)`
  t.equal(back?.n, 0, 'erased users stay erased')
  const logged = () =>
    services.flatMap((service) => [...service.output().matchAll(/"users":\d+,"ring_key":"([^"]+)"/g)].map(([, key]) => key))
  // A service logs after it has searched for more rows, so the line may come after the last row has changed.
  await eventually(() => logged().length > 0)
  t.ok(
    logged().every((key) => key === next.id),
    'the log names the new key',
  )

  writeJson(keysDir, dataKeysFile, { ...ring, keys: [next] }, 0o600)
  await Promise.all(services.map((service) => service.stop()))
  await Promise.all(services.map((service) => service.restart()))
  const wrong: number[] = []
  for (let first = 1; first <= count; first += 100) {
    const ids = Array.from({ length: 100 }, (_, n) => first + n).filter((id) => !erased.has(id))
    const answers = await Promise.all(ids.map((id) => call(`${services[id % 2]?.url}/api/v1/users/${id}`)))
    wrong.push(...ids.filter((id, n) => answers[n]?.body.data?.name !== (names.get(id) ?? `User ${id}`)))
  }
  t.same(wrong, [], 'the old key is no longer needed')

  await Promise.all(services.map((service) => service.stop()))
  writeJson(keysDir, dataKeysFile, { ...ring, keys: [newDataKey(new Date())] }, 0o600)
  await services[0]?.restart()
  await eventually(() => services[0]?.output().includes('the key ring lacks keys'))
})
