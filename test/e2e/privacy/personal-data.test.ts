import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { serviceNames } from '../../../src/environment.ts'
import { initKeys } from '../../../src/platform/keys/key-files.ts'
import { amounts } from '../../../testing/amounts.ts'
import { call, runApp } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { reauthenticated, signedIn } from '../../../testing/people.ts'
import { startPostgres } from '../../../testing/postgres.ts'
import { finder, inDatabase } from '../../../testing/remains.ts'
import { startService } from '../../../testing/service.ts'
import { startSystem } from '../../../testing/system.ts'

t.setTimeout(240_000)

const superuser = (t: Test, url: string) => {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  return sql
}

t.test('personal data at rest', async (t) => {
  const { api, databaseUrl } = await runApp(t)
  const sql = superuser(t, databaseUrl)
  const person = { name: 'Qwzxenon 查理士', email: 'Qwzxenon.Charles@example.com', phone: '+886977123456' }
  const { body } = await api('/users', 'POST', person)
  await api('/users', 'POST', { ...person, email: 'qwzxenon.second@example.com', password: 'correct horse battery' })
  await api(`/users/${body.data.id}`, 'PATCH', { phone: '+886977123457' })
  await api('/orders', 'POST', { user_id: body.data.id, items: [{ product_id: 2, quantity: 1 }] })

  await t.test('no column of any table has personal data in plain text', async (t) => {
    const find = finder(['qwzxenon', '查理士', '977123456', '977123457'])
    t.ok(find('here', `x ${Buffer.from('...查理士').toString('base64')}`).length > 0, 'the search finds encoded text')
    t.same(await inDatabase(databaseUrl, find), [])
    t.match((await api(`/users/${body.data.id}`)).body.data, { ...person, phone: '+886977123457' })
  })

  await t.test('an address belongs to one account, whatever its case, also with concurrent requests', async (t) => {
    const emails = ['Race@example.com', 'race@EXAMPLE.com', 'RACE@example.com', 'race@example.com', 'rAcE@example.com']
    const answers = await Promise.all(emails.map((email) => api('/users', 'POST', { name: 'Race', email })))
    t.same(answers.map(({ status }) => status).sort(), [201, 409, 409, 409, 409])
    const taken = await api('/users/3', 'PATCH', { email: 'RACE@EXAMPLE.COM' })
    t.match(taken, { status: 409, body: { code: 'user.email_taken' } })
  })

  await t.test("a row with another user's data is refused", async (t) => {
    await sql`update users.users u set personal = o.personal, data_key = o.data_key, ring_key = o.ring_key
                from users.users o where u.id = 2 and o.id = 3`
    t.equal((await api('/users/2')).status, 500)
    t.match((await api('/users/3')).body.data, { id: 3, email: 'xiaomei@example.com' })
    await sql`update users.users set personal = set_byte(personal, 20, get_byte(personal, 20) # 1) where id = 3`
    t.equal((await api('/users/3')).status, 500, 'a changed byte is refused')
  })
})

t.test('export', async (t) => {
  const { api, keysDir, databaseUrl } = await runApp(t, { AUTH: 'on' })
  const sql = superuser(t, databaseUrl)
  const [admin, owner, other] = await Promise.all([1, 2, 3].map((id) => signedIn(keysDir, id)))
  const credentials = { email: 'export@example.com', password: 'correct horse battery' }
  const { id } = (await api('/users', 'POST', { name: 'Ada', ...credentials }, admin)).body.data
  const { body } = await api('/auth/login', 'POST', credentials)
  const self = { authorization: `Bearer ${body.data.access_token}` }
  const orders = Array.from({ length: 105 }, () =>
    api('/orders', 'POST', { user_id: id, items: [{ product_id: 2, quantity: 1 }] }, admin),
  )
  t.same([...new Set((await Promise.all(orders)).map(({ status }) => status))], [201])
  await eventually(async () => {
    const [row] = await sql`select count(*)::int as n from notifications.notifications where user_id = ${id} and status = 'sent'`
    return row?.n === 105
  })

  const answer = await api(`/users/${id}/export`, 'GET', undefined, self)
  t.equal(answer.status, 200)
  t.equal(answer.headers.get('content-disposition'), `attachment; filename="user-${id}.json"`)
  const { data } = answer.body
  t.match(data, {
    user: { id, name: 'Ada', email: 'export@example.com', phone: null, role: 'user' },
    account: { status: 'active', second_factor_since: null, recovery_codes_left: 0, mail_tokens: [] },
    incomplete: [],
  })
  t.ok(Date.parse(data.account.password_changed_at) > 0)
  t.equal(data.account.sign_ins.length, 1)
  t.ok(Date.parse(data.account.sign_ins[0].expires_at) > Date.now())
  t.equal(new Set(data.orders.map((order: { id: number }) => order.id)).size, 105, 'orders of all pages')
  t.equal(data.notifications.length, 105)
  t.notOk(/hash|token"|secret"/.test(JSON.stringify(data)), 'no hash, token or secret')
  t.match((await api('/users/2/export', 'GET', undefined, owner)).body.data, { user: { id: 2 }, orders: [{ user_id: 2 }] })
  t.equal((await api(`/users/${id}/export`, 'GET', undefined, admin)).status, 200)
  t.equal((await api(`/users/${id}/export`, 'GET', undefined, other)).status, 404)
  t.equal((await api(`/users/${id}/export`)).status, 401)
  await eventually(async () => {
    const entries = await sql`select actor_id from audits.entries where action = 'user.exported' and resource_id = ${String(id)}`
    return entries.length === 2
  })

  await sql`insert into users.second_factors (user_id, secret, confirmed_at) values (2, '\\x00', now())`
  t.ok((await api('/users/2/export', 'GET', undefined, owner)).body.data.account.second_factor_since)
})

/** A database as the first release left it: `count` users in plain text. */
const firstRelease = async (t: Test, count: number) => {
  const server = await startPostgres()
  const parent = mkdtempSync(join(tmpdir(), 'orderhub-first-'))
  const keysDir = join(parent, 'keys')
  await initKeys(keysDir, serviceNames)
  const url = await server.createDatabase('users', ['user'])
  const sql = postgres(url, { max: 2, onnotice: () => {} })
  await sql`insert into users.users (name, email, phone, role, locale)
            select 'Qwzxenon ' || n, 'Qwzxenon' || n || '@Example.com', '+8869771717' || lpad(n::text, 5, '0'), 'user', 'en' from generate_series(1, ${count}) n`
  t.teardown(async () => {
    await sql.end()
    await server.stop()
    await rm(parent, { recursive: true, force: true })
  })
  return { url, sql, env: { DATABASE_URL: url, KEYS_DIR: keysDir, LOG_LEVEL: 'info', DATA_DIR: parent } }
}

t.test('users of the first release are encrypted when the service starts', async (t) => {
  const { usersOfFirstRelease: count } = amounts
  const { url, sql, env } = await firstRelease(t, count)
  const find = finder(['qwzxenon', '8869771717'])
  t.ok((await inDatabase(url, find)).length > 0)
  const services = await Promise.all([startService('user', env), startService('user', env)])
  t.teardown(() => Promise.all(services.map((service) => service.kill())))
  const [one, two] = services
  const wrong: number[] = []
  const [{ taken, changed }] = await Promise.all([
    (async () => {
      const taken = await call(`${one?.url}/api/v1/users`, 'POST', { name: 'X', email: `QWZXENON${count}@example.com` })
      const changed = await call(`${two?.url}/api/v1/users/${count - 1}`, 'PATCH', { phone: null })
      return { taken, changed }
    })(),
    ...services.map(async ({ url }) => {
      for (let id = 1; id <= count / 10; id++) {
        const { body } = await call(`${url}/api/v1/users/${id}`)
        if (body.data?.name !== `Qwzxenon ${id}`) wrong.push(id)
      }
    }),
  ])
  t.same(wrong, [], 'all users are readable meanwhile')
  t.equal(taken.status, 409, 'their addresses are taken')
  t.match(changed.body.data, { name: `Qwzxenon ${count - 1}`, phone: null })
  await eventually(async () => (await inDatabase(url, find)).length === 0)
  const [row] =
    await sql`select count(*)::int as n, count(email_lookup)::int as found, count(distinct data_key)::int as keys from users.users`
  t.match(row, { n: count, found: count, keys: count })

  await sql`insert into users.users (name, email, role, locale) values ('Qwzxenon late', 'Qwzxenon1@example.com', 'user', 'en')`
  await eventually(async () => (await inDatabase(url, find)).length === 0)
  t.match((await call(`${one?.url}/api/v1/users/1`)).body.data, { name: 'Qwzxenon 1' }, 'the existing account keeps the address')
  t.same(find('log', services.map((service) => service.output()).join('')), [])
})

t.test('a user service that cannot reach the others exports its own data, and lists what is missing', async (t) => {
  const { url, env } = await firstRelease(t, 1)
  const alone = await startService('user', env)
  t.teardown(() => alone.kill())
  const { status, body } = await call(`${alone.url}/api/v1/users/1/export`)
  t.equal(status, 200)
  t.match(body.data, { user: { name: 'Qwzxenon 1' }, orders: [], notifications: [], incomplete: ['orders', 'notifications'] })

  const lost = await startService('user', { ...env, DATABASE_URL: url, ORDER_SERVICE_URL: 'http://127.0.0.1:9' })
  t.teardown(() => lost.kill())
  t.match((await call(`${lost.url}/api/v1/users/1/export`)).body.data, { incomplete: ['orders', 'notifications'] })
})

t.test('with separate services, the export has the data of each service', async (t) => {
  const { url, keysDir, services, databaseUrl, stop } = await startSystem({ env: { AUTH: 'on' } })
  t.teardown(stop)
  const headers = await signedIn(keysDir, 3)
  const items = [{ product_id: 2, quantity: 1 }]
  t.equal((await call(`${url}/api/v1/orders`, 'POST', { user_id: 3, items }, headers)).status, 201)
  const { data } = await eventually(
    async () => {
      const { status, body } = await call(`${url}/api/v1/users/3/export`, 'GET', undefined, headers)
      t.equal(status, 200)
      return body.data.notifications.length > 0 && body
    },
    { timeoutMs: 20_000, everyMs: 200 },
  )
  t.match(data, { user: { id: 3, email: 'xiaomei@example.com' }, incomplete: [] })
  t.ok(data.orders.length > 0 && data.orders.every((order: { user_id: number }) => order.user_id === 3))

  await services.notification[0]?.kill()
  const part = await call(`${url}/api/v1/users/3/export`, 'GET', undefined, headers)
  t.match(part.body.data, { incomplete: ['notifications'], orders: data.orders })

  t.equal((await call(`${url}/api/v1/users/3`, 'DELETE', undefined, await reauthenticated(keysDir, 3))).status, 200)
  t.equal(
    (await call(`${url}/api/v1/users/3/export`, 'GET', undefined, headers)).status,
    401,
    'the token is invalid after the erasure',
  )
  t.same(await inDatabase(databaseUrl('user'), finder(['王小美', 'xiaomei'])), [])
})
