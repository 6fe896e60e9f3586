import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { main } from '../../../src/commands/migrate.ts'
import { serviceNames, storingServices } from '../../../src/environment.ts'
import { initKeys } from '../../../src/platform/keys/key-files.ts'
import { call } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { freePort } from '../../../testing/port.ts'
import { startOwnPostgres } from '../../../testing/postgres.ts'
import { type ServiceProcess, startService } from '../../../testing/service.ts'

t.setTimeout(600_000)

const server = await startOwnPostgres()
t.teardown(() => server.stop())
const superuser = postgres(server.url, { max: 1, onnotice: () => {} })
t.teardown(() => superuser.end())

const database = await server.createDatabase('logins')
const urlOf = (login: string, password: string): string => {
  const url = new URL(database)
  url.username = login
  url.password = encodeURIComponent(password)
  return url.href
}
const key = (module: string) => `${module.toUpperCase()}_DATABASE_URL`

// Not a superuser, as in a managed PostgreSQL.
await superuser`create role shop_owner login createrole password 'owner'`
await superuser`alter database test_logins owner to shop_owner`
await superuser`revoke all on database test_logins from public`
const owner = { DATABASE_URL: urlOf('shop_owner', 'owner') }
const passwordOf = (module: string) => `it's ${module}'s / "own" %`
const own = Object.fromEntries(storingServices.map((module) => [key(module), urlOf(`shop_${module}`, passwordOf(module))]))

/** Runs migrate.ts; returns its exit status and output. */
const makeLogins = async (t: Test, env: Record<string, string>, ...args: string[]) => {
  const said = (['log', 'error'] as const).map((method) => t.capture(console, method))
  try {
    const status = await main(args.length > 0 ? args : ['--logins'], env)
    return { status, output: said.flatMap((results) => results().map((call) => String(call.args[0]))).join('\n') }
  } finally {
    for (const { restore } of said) restore()
  }
}
const connectAs = (t: Test, login: string, password: string): postgres.Sql => {
  const sql = postgres(urlOf(login, password), { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  return sql
}
const denied = { code: '42501' }

t.test('creates a login for each module, and is idempotent', async (t) => {
  const done = {
    status: 0,
    output:
      'migrated: user, order, product, notification, audit; logins: shop_user, shop_order, shop_product, shop_notification, shop_audit',
  }
  t.same(await makeLogins(t, { ...owner, ...own }), done)
  t.same(await makeLogins(t, { ...owner, ...own }), done)
  const roles = await superuser`
    select rolname from pg_roles where rolname like 'shop\\_%' and rolname <> 'shop_owner'
       and (rolsuper or rolcreaterole or rolcreatedb or rolbypassrls or rolreplication)`
  t.same([...roles], [], 'no login has more rights')
})

t.test('no login has privileges on the tables of another module', async (t) => {
  const sql = connectAs(t, 'shop_owner', 'owner')
  const rights = async (login: string) => {
    const rows = await sql<{ schema: string }[]>`
      select distinct n.nspname as schema
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        cross join unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) as privilege
       where c.relkind in ('r', 'p', 'v') and n.nspname !~ '^(pg_|information_schema)'
         and has_table_privilege(${login}, c.oid, privilege) order by 1`
    return rows.map(({ schema }) => schema)
  }
  for (const module of storingServices)
    t.same(await rights(`shop_${module}`), [`${module}s`, 'bullmq', 'orderhub_migrations'].sort(), module)
})

t.test('a stolen login of the order service can only use its own tables', async (t) => {
  const sql = connectAs(t, 'shop_order', passwordOf('order'))
  const refused = [
    'select * from users.users',
    "update users.users set name = 'x'",
    'insert into products.outbox default values',
    'insert into users.outbox default values',
    'select * from notifications.inbox',
    'select * from audits.entries',
    'set role orderhub_audit',
    'set role shop_owner',
    'create table orders.more (id int)',
    'alter table orders.orders add column more int',
    'drop table orders.orders',
    'truncate orders.orders',
    'create schema more',
    'create table public.more (id int)',
    'drop table bullmq.job',
    'select * from orderhub_migrations."user"',
  ]
  for (const statement of refused) await t.rejects(sql.unsafe(statement), denied, statement)
  t.equal((await sql`select * from orders.orders`).length, 0)
  const audit = connectAs(t, 'shop_audit', passwordOf('audit'))
  await t.rejects(audit`delete from audits.entries`, denied)
})

t.test('a new password replaces the old one', async (t) => {
  const changed = { ...own, [key('order')]: urlOf('shop_order', 'new') }
  t.equal((await makeLogins(t, { ...owner, ...changed })).status, 0)
  await t.rejects(postgres(urlOf('shop_order', passwordOf('order')), { max: 1 })`select 1`, { code: '28P01' })
  t.equal((await makeLogins(t, { ...owner, ...own })).status, 0)
})

t.test('mistakes', async (t) => {
  const { [key('user')]: _, ...withoutUser } = own
  const said = (env: Record<string, string>, ...args: string[]) => makeLogins(t, env, ...args)
  t.same(await said({ ...own }), {
    status: 78,
    output: 'DATABASE_URL is missing: with --logins, the address with the login of the schemas’ owner',
  })
  t.same(await said({ ...owner, ...withoutUser }), {
    status: 78,
    output: 'USER_DATABASE_URL is missing: with --logins, the address with the login of user',
  })
  t.same(await said({ ...owner, ...own, [key('user')]: own[key('order')] as string }), {
    status: 78,
    output: 'order and user have the same login: each needs one of its own',
  })
  t.same(
    await said({ ...owner, ...own, [key('user')]: owner.DATABASE_URL.replace('test_logins', 'test_logins?sslmode=prefer') }),
    {
      status: 78,
      output: 'USER_DATABASE_URL has the login of DATABASE_URL, which owns every schema',
    },
  )
  t.equal((await said({}, '--logon')).status, 64)
})

t.test('the six services work with only their own logins, with events through PostgreSQL', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-logins-'))
  const keysDir = join(folder, 'keys')
  await initKeys(keysDir, serviceNames)
  const ports = new Map(await Promise.all(serviceNames.map(async (name) => [name, await freePort()] as const)))
  const urls = Object.fromEntries(
    [...ports].map(([name, port]) => [`${name.toUpperCase()}_SERVICE_URL`, `http://127.0.0.1:${port}`]),
  )
  const common = { AUTH: 'on', KEYS_DIR: keysDir, DATA_DIR: folder, SEED: 'true' }
  const running: ServiceProcess[] = []
  t.teardown(async () => {
    await Promise.all(running.map((service) => service.stop()))
    rmSync(folder, { recursive: true })
  })
  const start = async (name: (typeof serviceNames)[number]) => {
    const { [`${name.toUpperCase()}_SERVICE_URL`]: _self, ...others } = urls
    const login: Record<string, string> = name === 'gateway' ? {} : { DATABASE_URL: own[key(name)] as string }
    const admin: Record<string, string> =
      name === 'user' ? { ADMIN_EMAIL: 'admin@example.com', ADMIN_PASSWORD: 'a quiet harbour 7' } : {}
    running.push(await startService(name, { ...common, ...others, ...login, ...admin, PORT: String(ports.get(name)) }))
  }
  await Promise.all(serviceNames.map(start))
  const api = `http://127.0.0.1:${ports.get('gateway')}/api/v1`
  const signIn = await call(`${api}/auth/login`, 'POST', { email: 'admin@example.com', password: 'a quiet harbour 7' })
  t.equal(signIn.status, 200)
  const { access_token } = (signIn.body as { data: { access_token: string } }).data
  const headers = { authorization: `Bearer ${access_token}` }
  const { body } = await call(`${api}/products`, 'GET', undefined, headers)
  const [product] = (body as { data: { id: number }[] }).data
  const placed = await call(
    `${api}/orders`,
    'POST',
    { user_id: 1, items: [{ product_id: product?.id, quantity: 1 }] },
    { ...headers, 'idempotency-key': 'logins-1' },
  )
  t.equal(placed.status, 201)
  const sql = connectAs(t, 'shop_owner', 'owner')
  const outboxes = async () => {
    const counts = await Promise.all(
      ['users', 'products', 'orders', 'notifications'].map((schema) => sql`select from ${sql(`${schema}.outbox`)}`),
    )
    return counts.every((rows) => rows.length === 0)
  }
  t.ok(await eventually(outboxes, { timeoutMs: 60_000, everyMs: 250 }), 'every event is delivered')
  t.ok((await sql`select from notifications.inbox`).length > 0, 'the event of the order was received')
  const audit = connectAs(t, 'shop_audit', passwordOf('audit'))
  t.ok((await audit`select from audits.entries where service = 'order'`).length > 0, 'the trail has the order')
  t.notMatch(running.map((service) => service.output()).join(''), /permission denied/)
})
