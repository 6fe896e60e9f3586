import { sql } from 'drizzle-orm'
import { pino } from 'pino'
import postgres from 'postgres'
import t from 'tap'
import { createDatabase } from '../../../src/platform/db/database.ts'
import { untilUsable } from '../../../src/platform/db/startup.ts'
import { createEventQueues } from '../../../src/platform/queue/event-queues.ts'
import { eventually } from '../../../testing/eventually.ts'
import { hasPgBouncer, startPgBouncer } from '../../../testing/pgbouncer.ts'
import { startOwnPostgres } from '../../../testing/postgres.ts'

t.setTimeout(120_000)

const skip = hasPgBouncer() ? false : 'skipped: pgbouncer is not installed'
const everything = 'role,statement_timeout,options'
const limit = 1_500

t.test('a pooler that drops role and statement_timeout', { skip }, async (t) => {
  const server = await startOwnPostgres()
  t.teardown(() => server.stop())
  const url = await server.createDatabase('pooled')
  const owner = postgres(url, { max: 1, onnotice: () => {} })
  t.teardown(() => owner.end())
  await owner`create role shop_reader`
  const [{ login } = { login: '' }] = await owner<{ login: string }[]>`select current_user as login`
  const pooler = async (mode: 'session' | 'transaction', ignore = everything) => {
    const one = await startPgBouncer(url, mode, ignore)
    t.teardown(() => one.stop())
    return one.url
  }
  const open = (at: string, onRefused: (reason: string) => void = () => {}) => {
    const db = createDatabase({
      url: at,
      max: 2,
      statementTimeoutMs: limit,
      applicationName: 'pooled',
      role: 'shop_reader',
      onRefused,
    })
    t.teardown(() => db.close())
    return db
  }
  const whoAmI = sql`select current_user::text as role, current_setting('statement_timeout') as limit`
  const look = (at: string) =>
    untilUsable({ url: at, of: ['order'], role: 'shop_reader', statementTimeoutMs: limit }, { waitMs: 0, onWait: () => {} })
  const dropped = new RegExp(
    `statements run as ${login}, not as shop_reader; statement_timeout is 0 ms, not 1500 ms: a connection pooler`,
  )

  t.same(await open(url).run(whoAmI), [{ role: 'shop_reader', limit: '1500ms' }], 'without a pooler both are set')

  for (const mode of ['session', 'transaction'] as const) {
    await t.test(`in ${mode} mode the start fails with one line, and no statement runs as the login`, async (t) => {
      const at = await pooler(mode)
      await t.rejects(look(at), { message: new RegExp(`settings failed: ${dropped.source}`), lasting: true })
      const reasons: string[] = []
      const db = open(at, (reason) => reasons.push(reason))
      await t.rejects(db.run(whoAmI), { code: 'database.unavailable' })
      await t.rejects(db.ping(), { code: 'database.unavailable' })
      t.match(reasons, [dropped, dropped])
    })
  }

  await t.test('events on PostgreSQL through a pooler that drops the search_path: one line', async (t) => {
    const at = await pooler('session')
    await t.rejects(createEventQueues({ databaseUrl: at, log: pino({ level: 'silent' }) }), {
      message: /^the database of events: settings failed: search_path is .*not bullmq: a connection pooler.*REDIS_URL$/,
    })
  })

  await t.test('settings of the login itself work through a pooler; later connections are checked too', async (t) => {
    const at = await pooler('session')
    await owner.unsafe(`alter role ${login} set role = 'shop_reader'`)
    await owner.unsafe(`alter role ${login} set statement_timeout = '1s'`)
    await look(at)
    const db = open(at)
    t.same(await db.run(whoAmI), [{ role: 'shop_reader', limit: '1s' }])
    await owner`set role none`
    await owner.unsafe(`alter role ${login} reset role`)
    await owner`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`
    await eventually(() => t.rejects(db.run(whoAmI), { code: 'database.unavailable' }))
    await t.rejects(db.run(whoAmI), { code: 'database.unavailable' })
  })
})
