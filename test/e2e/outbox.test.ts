import postgres from 'postgres'
import t from 'tap'
import { readConfig } from '../../src/config.ts'
import { migrationTargets, runMigrations } from '../../src/migrations.ts'
import { outbox } from '../../src/modules/order/tables.ts'
import { createDatabase } from '../../src/platform/db.ts'
import { createOutboxRepository } from '../../src/platform/events/repository.ts'
import { newUuid } from '../../src/platform/ids.ts'
import { startPostgres } from '../support/postgres.ts'

t.setTimeout(60_000)

t.test('two queues that are done with an event at the same time: the event goes', async (t) => {
  const server = await startPostgres()
  const url = await server.createDatabase('outbox')
  await runMigrations(migrationTargets(readConfig({ SERVICE: 'order', DATABASE_URL: url })))
  const db = createDatabase({ url, max: 10, statementTimeoutMs: 5000, applicationName: 'outbox-test' })
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  t.teardown(async () => {
    await sql.end()
    await db.close()
    await server.stop()
  })
  const repository = createOutboxRepository(db, outbox, { 'order.created': ['notification', 'audit'] })
  const ids = Array.from({ length: 200 }, () => newUuid())
  for (const id of ids) {
    await sql`insert into orders.outbox (id, type, aggregate_id, version, actor, traceparent, data)
              values (${id}, 'order.created', '1', 1, '{"type":"anonymous","id":null}', '', '{}')`
  }
  await repository.delivered(ids, 'audit')
  const [half] = await sql`select count(*)::int as n from orders.outbox where delivered = '{audit}'`
  t.equal(half?.n, 200, 'one queue is not enough')
  await sql`update orders.outbox set delivered = '{}'`

  for (const id of ids) await Promise.all(['notification', 'audit'].map((queue) => repository.delivered([id], queue)))
  t.same(await sql`select id, delivered from orders.outbox`, [])
})
