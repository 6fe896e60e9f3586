import { randomBytes } from 'node:crypto'
import postgres from 'postgres'
import t from 'tap'
import { migrationTargets, runMigrations } from '../../../src/app/migrations.ts'
import { readConfig } from '../../../src/config.ts'
import { orderContract } from '../../../src/modules/order/contract.ts'
import { createExpiryRepository } from '../../../src/modules/order/expiry-repository.ts'
import { createOrderRepository } from '../../../src/modules/order/repository.ts'
import { userContract } from '../../../src/modules/user/contract.ts'
import { createSessionRepository } from '../../../src/modules/user/sign-in/session-repository.ts'
import { serviceContext } from '../../../src/platform/context.ts'
import { createDatabase } from '../../../src/platform/db/database.ts'
import { withRelay } from '../../../src/platform/db/with-relay.ts'
import { newEvent } from '../../../src/platform/events/event.ts'
import { newUuid } from '../../../src/platform/ids.ts'
import { startPostgres } from '../../../testing/postgres.ts'

t.setTimeout(60_000)

const server = await startPostgres()
const url = await server.createDatabase('wake')
await runMigrations(migrationTargets(readConfig({ SERVICE: 'order,user', DATABASE_URL: url })))
const sql = postgres(url, { max: 1, onnotice: () => {} })
const pool = createDatabase({ url, max: 5, statementTimeoutMs: 5000, applicationName: 'wake-test' })
t.teardown(async () => {
  await sql.end()
  await pool.close()
  await server.stop()
})

/** For each wake-up, the number of events visible to other connections. */
const seen: Promise<number>[] = []
const events = async (schema: string) => Number((await sql`select count(distinct id) as n from ${sql(schema)}.outbox`)[0]?.n)
const viewOf = (schema: string) => withRelay(pool, () => seen.push(events(schema)))
const wakesOf = async (work: () => Promise<unknown>) => {
  seen.length = 0
  await work()
  return Promise.all(seen)
}

const context = serviceContext('order', 5000)

t.test('orders that are placed, expire or change status wake the relay after the commit', async (t) => {
  const db = viewOf('orders')
  const { place, transition } = createOrderRepository(db)
  const { expire } = createExpiryRepository(db)
  await sql`insert into orders.stock (product_id, available) values (1, 3)`
  const order = (quantity: number) =>
    place({
      user_id: 3,
      currency: 'TWD',
      items: [{ product_id: 1, product: 'Lamp', quantity, price: 900 }],
      key: null,
      fingerprint: '',
      event: newEvent(orderContract, 'order.created', context),
      most: null,
    })
  t.same(await wakesOf(() => order(1)), [1], 'its event is visible')
  t.same(await wakesOf(() => order(4)), [], 'no wake-up for a refused order')

  const batch = await wakesOf(() => Promise.all([order(1), order(1), order(1)]))
  t.equal(await events('orders'), 3, 'two of three orders placed')
  t.equal(batch.at(-1), 3)
  t.ok(batch.length < 3, 'orders that share a commit share a wake-up')

  const [row] = await sql`select id from orders.orders order by id limit 1`
  const cancel = () =>
    transition(row?.id, ['pending'], 'cancelled', newEvent(orderContract, 'order.cancelled', context), undefined)
  t.same(await wakesOf(cancel), [4])
  t.same(await wakesOf(cancel), [], 'no wake-up without a change')

  const old = () =>
    expire(
      1,
      [1, 2, 3].map(() => newEvent(orderContract, 'order.cancelled', context)),
    )
  await sql`update orders.orders set created_at = now() - interval '1 hour'`
  t.same(await wakesOf(old), [6])
  t.same(await wakesOf(old), [])
})

t.test('a refresh wakes the relay only when it detects a stolen token', async (t) => {
  const { refresh } = createSessionRepository(viewOf('users'))
  const [first, second, third] = [randomBytes(32), randomBytes(32), randomBytes(32)]
  const [user] = await sql`insert into users.users (role) values ('user') returning id`
  await sql`insert into users.refresh_tokens (token_hash, family, user_id, session_version, expires_at)
            values (${first}, ${newUuid()}, ${user?.id}, 1, now() + interval '1 day')`
  const event = () => newEvent(userContract, 'user.refresh_reuse_detected', context)
  t.same(await wakesOf(() => refresh(first, second, event())), [])
  await sql`update users.refresh_tokens set used_at = now() - interval '1 minute' where token_hash = ${first}`
  t.same(await wakesOf(() => refresh(first, third, event())), [1])
})
