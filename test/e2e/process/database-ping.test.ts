import { sql } from 'drizzle-orm'
import postgres from 'postgres'
import t from 'tap'
import { createDatabase } from '../../../src/platform/db/database.ts'
import { eventually } from '../../../testing/eventually.ts'
import { startOwnPostgres } from '../../../testing/postgres.ts'

t.setTimeout(60_000)

t.test('the database ping has its own connection', async (t) => {
  const server = await startOwnPostgres()
  t.teardown(() => server.stop())
  const url = await server.createDatabase('looked_at')
  const owner = postgres(url, { max: 1, onnotice: () => {} })
  t.teardown(() => owner.end())
  await owner`create table things (n int)`
  const db = createDatabase({ url, max: 2, statementTimeoutMs: 10_000, applicationName: 'looked-at' })
  t.teardown(() => db.close())
  const connections = async () => {
    const [row] = await owner`select count(*)::int as n from pg_stat_activity where application_name = 'looked-at'`
    return row?.n as number
  }

  // All connections of the pool are in use, and more statements wait.
  const holder = postgres(url, { max: 1, onnotice: () => {} })
  t.teardown(() => holder.end())
  const lock = await holder.reserve()
  await lock`begin`
  await lock`lock table things`
  const statements = Array.from({ length: 5 }, (_, n) => db.run(sql`insert into things values (${n})`))
  await eventually(async () => {
    const [row] = await owner`select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock'`
    return row?.n === 2
  })
  await Promise.all(Array.from({ length: 100 }, () => db.ping()))
  t.equal(await connections(), 3, 'two connections for statements, and one for a hundred pings')
  await lock`commit`
  lock.release()
  await Promise.all(statements)
  await db.ping()
  t.equal(await connections(), 3)

  await owner`alter system set default_transaction_read_only = on`
  await owner`select pg_reload_conf()`
  await eventually(() => t.rejects(db.ping(), { code: 'database.unavailable' }))
  await t.rejects(db.ping(), { code: 'database.unavailable' }, 'the server is read-only')
  await t.rejects(db.run(sql`insert into things values (9)`), { code: 'database.unavailable', status: 503 })
  await eventually(async () => (await connections()) === 0)
  t.pass('connections to a read-only server are closed')

  await owner`set default_transaction_read_only = off`
  await owner`alter system reset default_transaction_read_only`
  await owner`select pg_reload_conf()`
  await eventually(() => db.ping().then(() => true))
  await db.run(sql`insert into things values (10)`)
  t.same(await db.run(sql`select count(*)::int as n from things`), [{ n: 6 }])
})
