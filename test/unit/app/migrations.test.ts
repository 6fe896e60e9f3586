import postgres from 'postgres'
import t from 'tap'
import { migrationTargets, modulesBehind, runMigrations } from '../../../src/app/migrations.ts'
import { readConfig } from '../../../src/config.ts'
import { startPostgres } from '../../../testing/postgres.ts'

t.test('migrations', async (t) => {
  const server = await startPostgres()
  t.teardown(() => server.stop())
  const url = await server.createDatabase('orderhub')
  const targets = migrationTargets(readConfig({ DATABASE_URL: url }))
  const modules = targets.map(({ module }) => module)

  await t.test('a database is behind until its migrations have run, even in several concurrent processes', async (t) => {
    t.same(await modulesBehind(targets), modules)
    await Promise.all([runMigrations(targets), runMigrations(targets), runMigrations(targets.toReversed())])
    t.same(await modulesBehind(targets), [])
    await runMigrations(targets)
  })

  await t.test('one missing migration is enough to be behind; a newer schema is fine', async (t) => {
    const sql = postgres(url, { max: 1, onnotice: () => {} })
    t.teardown(() => sql.end())
    await sql`insert into orderhub_migrations.user (hash, created_at) values ('later', 9999999999999)`
    await sql`delete from orderhub_migrations.order where id = (select max(id) from orderhub_migrations.order)`
    t.same(await modulesBehind(targets), ['order'])
  })

  await t.test('a service migrates only its own module, in its configured database', async (t) => {
    const own = await server.createDatabase('own')
    await runMigrations(migrationTargets(readConfig({ SERVICE: 'order', DATABASE_URL: url, ORDER_DATABASE_URL: own })))
    const sql = postgres(own, { max: 1 })
    t.teardown(() => sql.end())
    const schemas = await sql`select nspname from pg_namespace where nspname in ('users', 'products', 'orders', 'notifications')`
    t.same(
      schemas.map(({ nspname }) => nspname),
      ['orders'],
    )
  })

  await t.test('without a database the error names the missing keys', async (t) => {
    t.throws(() => migrationTargets(readConfig({ SERVICE: 'order' })), { message: /DATABASE_URL.*ORDER_DATABASE_URL/ })
  })
})
