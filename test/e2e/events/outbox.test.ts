import { sql as statement } from 'drizzle-orm'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { Type } from 'typebox'
import { deadLetters, inbox, outbox } from '../../../src/modules/order/tables.ts'
import { createDatabase } from '../../../src/platform/db/database.ts'
import { newEvent } from '../../../src/platform/events/event.ts'
import { appendEvent, createInboxRepository, createOutboxRepository } from '../../../src/platform/events/outbox-repository.ts'
import { newUuid } from '../../../src/platform/ids.ts'
import { startPostgres } from '../../../testing/postgres.ts'

t.setTimeout(60_000)

const server = await startPostgres()
t.teardown(() => server.stop())

const start = async (t: Test, name: string) => {
  const url = await server.createDatabase(name, ['order'])
  const db = createDatabase({ url, max: 10, statementTimeoutMs: 5000, applicationName: 'outbox-test' })
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  t.teardown(async () => {
    await sql.end()
    await db.close()
  })
  const context = { actor: { type: 'anonymous', id: null }, traceparent: '', policyVersion: '' } as const
  /** Commits an event as a module does. */
  const commit = async (type: string) => {
    const event = newEvent({ events: { [type]: Type.Object({}) } }, type, context)
    await db.write(statement`${appendEvent(outbox, event, statement`(select 1 as id, 1 as version)`)}`)
    return event.id
  }
  /** Writes a row as the previous version does: without a queue. */
  const commitAsBefore = async (type: string, delivered = '{}') => {
    const id = newUuid()
    await sql`insert into orders.outbox (id, type, aggregate_id, version, actor, traceparent, data, delivered)
              values (${id}, ${type}, '1', 1, '{"type":"anonymous","id":null}', '', '{}', ${delivered})`
    return id
  }
  const queuesOf = async (id: string) =>
    (await sql`select queue from orders.outbox where id = ${id} order by queue`).map(({ queue }) => queue)
  return { sql, db, repository: createOutboxRepository(db, outbox), commit, commitAsBefore, queuesOf }
}

t.test('two queues finish an event at the same time: its rows are deleted', async (t) => {
  const { sql, repository, commit } = await start(t, 'outbox')
  const ids: string[] = []
  for (let n = 0; n < 200; n++) ids.push(await commit('order.created'))
  await repository.delivered(ids, 'audit')
  t.same(await sql`select queue, count(*)::int as n from orders.outbox group by 1`, [{ queue: 'notification', n: 200 }])
  await repository.delivered(ids, 'notification')
  ids.length = 0
  for (let n = 0; n < 200; n++) ids.push(await commit('order.created'))
  for (const id of ids) await Promise.all(['notification', 'audit'].map((queue) => repository.delivered([id], queue)))
  t.same(await sql`select id, queue from orders.outbox`, [])
})

t.test('an event goes to the queues that any version has registered before it', async (t) => {
  const { sql, repository, commit, queuesOf } = await start(t, 'queues')
  t.same(await queuesOf(await commit('order.created')), ['audit', 'notification'], 'as registered by the migration')
  const newer = [
    { type: 'order.created', queue: 'loyalty' },
    { type: '*', queue: 'audit' },
  ]
  await Promise.all(Array.from({ length: 10 }, () => repository.register(newer)))
  t.same(await queuesOf(await commit('order.created')), ['audit', 'loyalty', 'notification'])
  t.same(await queuesOf(await commit('order.unheard_of')), ['audit'], 'a subscriber to all events gets an unknown type')
  await sql`insert into orders.subscriptions (type, queue) values ('order.created', 'audit')`
  t.same(await queuesOf(await commit('order.created')), ['audit', 'loyalty', 'notification'], 'registered twice, written once')

  await sql`update orders.subscriptions set seen_at = now() - interval '8 days' where queue = 'loyalty'`
  t.same(
    await queuesOf(await commit('order.created')),
    ['audit', 'notification'],
    'a subscription that is not renewed for a week expires',
  )
  await repository.register(newer)
  t.same(await queuesOf(await commit('order.created')), ['audit', 'loyalty', 'notification'], 'and can be registered again')

  await sql`delete from orders.subscriptions`
  t.same(await queuesOf(await commit('order.created')), [''], 'the event is kept without any subscriber')
})

t.test('a row without a queue gets a row for each subscriber; without subscribers it stays', async (t) => {
  const { sql, repository, commitAsBefore, queuesOf } = await start(t, 'before')
  const created = await commitAsBefore('order.created')
  const half = await commitAsBefore('order.created', '{audit}')
  const unknown = await commitAsBefore('order.unheard_of')
  t.same(await repository.claim([{ queue: 'audit', room: 10 }]), [], 'it has no queue yet')
  t.equal(await repository.address(2), 2)
  t.equal(await repository.address(2), 1)
  t.same(await queuesOf(created), ['audit', 'notification'])
  t.same(await queuesOf(half), ['notification'], 'the other queue had finished it')
  t.same(await queuesOf(unknown), ['audit'])
  await sql`delete from orders.subscriptions`
  const kept = await commitAsBefore('order.created')
  t.equal(await repository.address(10), 0)
  t.same(await queuesOf(kept), [''])
})

t.test('a claim takes what each queue has room for, and nothing for other queues', async (t) => {
  const { repository, commit } = await start(t, 'claims')
  await repository.register([{ type: 'order.created', queue: 'loyalty' }])
  for (let n = 0; n < 10; n++) await commit('order.created')
  const claimed = await repository.claim([
    { queue: 'audit', room: 8 },
    { queue: 'notification', room: 3 },
  ])
  const count = (queue: string) => claimed.filter((one) => one.queue === queue).length
  t.same([count('audit'), count('notification'), claimed.length], [8, 3, 11])
  const rest = await repository.claim([{ queue: 'audit', room: 100 }])
  t.equal(rest.length, 2, 'claimed events are not due')
  t.same(
    await repository
      .backlog()
      .then((all) => all.map(({ queue, depth }) => ({ queue, depth })).sort((a, b) => (a.queue < b.queue ? -1 : 1))),
    [
      { queue: 'audit', depth: 10 },
      { queue: 'loyalty', depth: 10 },
      { queue: 'notification', depth: 10 },
    ],
  )
})

t.test('the inbox deletes old ids, but keeps those that a dead letter can replay', async (t) => {
  const { sql, db } = await start(t, 'inbox')
  const [old, buried, recent] = [newUuid(), newUuid(), newUuid()]
  for (const id of [old, buried]) await sql`insert into orders.inbox values (${id}, now() - interval '15 days')`
  await sql`insert into orders.inbox values (${recent}, now() - interval '13 days')`
  await sql`insert into orders.dead_letters (event_id, type, event, reason, attempts) values (${buried}, 'product.deleted', '{}', 'test', 8)`
  await createInboxRepository(db, inbox, deadLetters).prune()
  t.same((await sql`select event_id from orders.inbox`).map(({ event_id }) => event_id).sort(), [buried, recent].sort())
})
