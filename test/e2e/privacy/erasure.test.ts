import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import { SMTPServer } from 'smtp-server'
import t, { type Test } from 'tap'
import { serviceNames, storingServices } from '../../../src/environment.ts'
import { initKeys } from '../../../src/platform/keys/key-files.ts'
import { createLog } from '../../../src/platform/observability/log.ts'
import { amounts } from '../../../testing/amounts.ts'
import { type Answer, call, runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { startPostgres } from '../../../testing/postgres.ts'
import { hasRedis, startRedis } from '../../../testing/redis.ts'
import { finder, inDatabase, inFolder, inRedis } from '../../../testing/remains.ts'
import { startService } from '../../../testing/service.ts'

t.setTimeout(240_000)

const { erasedUsers: count } = amounts
const userOf = (n: number) => ({
  name: `Qwzxenon 查理士 ${n}`,
  email: `Qwzxenon.${n}@Example.com`,
  phone: `+88697717${String(n).padStart(4, '0')}`,
  locale: n % 2 === 0 ? 'en' : 'zh-TW',
})
/** Finds texts that every user above contains. */
const find = finder(['qwzxenon', '查理士', '88697717'])

/** Runs the jobs with limited concurrency; returns their results in order. */
const many = async <T>(jobs: readonly (() => Promise<T>)[], lanes = 16): Promise<T[]> => {
  const results: T[] = []
  const queue = jobs.entries()
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (const [n, job] of queue) results[n] = await job()
    }),
  )
  return results
}

const startAll = async (t: Test, env: Record<string, string>) => {
  const server = await startPostgres()
  const parent = mkdtempSync(join(tmpdir(), 'orderhub-erasure-'))
  const keysDir = join(parent, 'keys')
  const anchor = join(parent, 'anchor')
  await initKeys(keysDir, serviceNames)
  const url = await server.createDatabase('all', storingServices)
  const places = { DATABASE_URL: url, DATA_DIR: join(parent, 'data'), KEYS_DIR: keysDir, AUDIT_ANCHOR: anchor }
  const service = await startService('all', { ...places, LOG_LEVEL: 'trace', SEED: 'true', REQUEST_TIMEOUT_MS: '60000', ...env })
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  t.teardown(async () => {
    await service.kill()
    await sql.end()
    await server.stop()
    await rm(parent, { recursive: true, force: true })
  })
  const api = (path: string, method = 'GET', body?: unknown) => call(`${service.url}/api/v1${path}`, method, body)
  const verify = () =>
    spawnSync(
      process.execPath,
      [
        fileURLToPath(new URL('../../../src/audit.ts', import.meta.url)),
        ...['verify', '--database', url, '--checkpoint', anchor, '--keys', keysDir],
      ],
      { encoding: 'utf8' },
    )
  return { url, sql, service, api, mail: join(parent, 'data', 'mail'), verify }
}

const statuses = (answers: readonly Answer[]) => [...new Set(answers.map(({ status }) => status))]

const backends = hasRedis() ? ['Redis', 'PostgreSQL'] : ['PostgreSQL']
for (const backend of backends) {
  // The second backend differs only in the queue, so fewer users are enough.
  const people = backend === backends[0] ? count : 60
  await t.test(`after erasing ${people} users no personal data is left; events on ${backend}`, async (t) => {
    const redis = backend === 'Redis' ? await startRedis() : undefined
    if (redis) t.teardown(() => redis.stop())
    const { url, sql, service, api, mail, verify } = await startAll(t, redis ? { REDIS_URL: redis.url } : {})
    const queues = () => (redis ? inRedis(redis.url, find) : Promise.resolve([]))

    const created = await many(
      Array.from({ length: people }, (_, n) => () => {
        const password = n < 10 ? { password: `orange battery ${n} staple` } : {}
        return api('/users', 'POST', { ...userOf(n), ...password })
      }),
    )
    t.same(statuses(created), [201])
    const ids: number[] = created.map(({ body }) => body.data.id)
    const some = ids.slice(0, people / 10)
    const items = [{ product_id: 2, quantity: 1 }]
    t.same(statuses(await many(some.map((user_id) => () => api('/orders', 'POST', { user_id, items })))), [201])
    for (const [n, id] of ids.slice(0, 10).entries()) {
      const { email } = userOf(n)
      await api('/auth/login', 'POST', { email, password: n % 2 === 0 ? `orange battery ${n} staple` : 'a wrong guess' })
      await api('/auth/password/forgot', 'POST', { email })
      await api(`/users/${id}`, 'PATCH', { name: `Qwzxenon again ${n}` })
      await api(`/users/${id}/export`)
    }
    // Invalid requests that contain personal data.
    await api('/users', 'POST', userOf(1))
    await api('/users', 'POST', { ...userOf(people + 1), nickname: 'Qwzxenon' })
    await api('/users', 'POST', { ...userOf(people + 1), phone: 'Qwzxenon 88697717' })
    await api(`/users/${encodeURIComponent(userOf(1).email)}`)
    await api(`/users?email=${encodeURIComponent(userOf(1).email)}`)
    await fetch(`${service.url}/api/v1/users`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: 'Qwzxenon',
    })
    await eventually(
      async () => {
        const [row] = await sql`select count(*)::int as n from notifications.notifications where status = 'sent'`
        return row?.n === some.length * 2
      },
      { timeoutMs: 60_000, everyMs: 200 },
    )
    t.ok((await inFolder(mail, find)).length >= some.length, 'their mails exist and are found')
    // As the first release left it.
    await mkdir(mail, { recursive: true })
    const [one] = await sql`select event_id from notifications.notifications where user_id = ${some[0] as number} limit 1`
    await writeFile(join(mail, `${one?.event_id}.eml`), 'To: Qwzxenon')

    // Some users are erased while their mail may still be written.
    const hasty = new Set(ids.slice(people / 2, people / 2 + people / 10))
    const erase = async (id: number) => {
      if (hasty.has(id)) await api('/orders', 'POST', { user_id: id, items })
      return api(`/users/${id}`, 'DELETE')
    }
    t.same(statuses(await many(ids.map((id) => () => erase(id)))), [200])
    await eventually(
      async () => {
        const [row] = await sql`select (select count(*) from users.outbox)::int + (select count(*) from orders.outbox)::int
          + (select count(*) from notifications.notifications where due_at is not null)::int as n`
        return row?.n === 0
      },
      { timeoutMs: 60_000, everyMs: 200 },
    )
    t.same(await inFolder(mail, find), [], 'mail folder')
    t.same(
      (await readdir(mail)).filter((name) => ids.includes(Number(name))),
      [],
    )
    t.same(await inDatabase(url, find), [], 'every table')
    t.same(await queues(), [], 'queue')
    t.same(find('log', service.output()), [], 'log')

    const [left] = await sql`
      select (select count(*) from users.users where id = any (${ids}) and status = 'erased' and data_key is null and email_lookup is null)::int as users,
             (select count(*) from users.credentials where user_id = any (${ids}))::int as credentials,
             (select count(*) from users.refresh_tokens where user_id = any (${ids}))::int as tokens,
             (select count(*) from users.sign_in_attempts a join users.users u on u.email_lookup = a.key)::int as attempts,
             (select count(*) from orders.orders where user_id = any (${ids}))::int as orders`
    t.same(left, { users: people, credentials: 0, tokens: 0, attempts: 0, orders: some.length + hasty.size })
    const [order] = (await api(`/orders?user_id=${some[0]}`)).body.data
    t.match(order, { user_id: some[0], user: null })
    t.equal((await api(`/users/${some[0]}/export`)).status, 404)
    t.equal((await api('/users', 'POST', { ...userOf(0), name: 'New' })).status, 201, 'the address can be used again')

    const [trail] = await sql`select count(*)::int as n from audits.entries where action = 'user.deleted'`
    t.equal(trail?.n, people)
    await eventually(
      async () => {
        const [row] = await sql`select count(*)::int as n from users.outbox`
        return row?.n === 0
      },
      { timeoutMs: 30_000, everyMs: 200 },
    )
    await eventually(() => verify().status === 0, { timeoutMs: 30_000, everyMs: 500 }).catch(() => t.fail(verify().stderr))
  })
}

t.test("personal data in a provider's error is not in a reason, a dead letter, the queue or the log", async (t) => {
  const refuse = (text: string) => Object.assign(new Error(text), { responseCode: 550 })
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    onRcptTo: ({ address }, _session, callback) =>
      callback(refuse(`5.1.1 <${address}> Qwzxenon 查理士: no such user, call +886977170001`)),
  })
  server.on('error', () => {})
  const listening = server.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  const redis = hasRedis() ? await startRedis() : undefined
  t.teardown(async () => {
    await new Promise<void>((resolve) => server.close(() => resolve()))
    await redis?.stop()
  })
  const stream = new PassThrough()
  let output = ''
  stream.on('data', (chunk) => {
    output += chunk
  })
  const { api, databaseUrl } = await runApp(
    t,
    {
      SMTP_URL: `smtp://127.0.0.1:${(listening.address() as AddressInfo).port}`,
      ...(redis ? { REDIS_URL: redis.url } : {}),
    },
    { log: createLog('trace', 'test', stream), queue: { attempts: 3, backoffMs: 50 } },
  )
  const { body } = await api('/users', 'POST', userOf(1))
  await api('/orders', 'POST', { user_id: body.data.id, items: [{ product_id: 2, quantity: 1 }] })
  const [letter] = await eventually(async () => {
    const { data } = (await api('/notifications/dead-letters')).body
    return data.length > 0 && data
  })
  t.match(letter, { reason: 'SMTP: 550 5.1.1', attempts: 3 })
  t.match((await api(`/notifications?user_id=${body.data.id}&status=failed`)).body.data, [{ reason: 'SMTP: 550 5.1.1' }])
  t.match(output, /message not sent/)
  t.same(find('log', output), [])
  t.same(await inDatabase(databaseUrl, find), [])
  if (redis) t.same(await inRedis(redis.url, find), [])
})
