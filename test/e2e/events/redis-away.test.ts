import { setTimeout as wait } from 'node:timers/promises'
import postgres from 'postgres'
import t from 'tap'
import { amounts } from '../../../testing/amounts.ts'
import { call } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { startProviders } from '../../../testing/providers.ts'
import { hasRedis } from '../../../testing/redis.ts'
import { startSystem } from '../../../testing/system.ts'

t.setTimeout(180_000)

const { redisAwayMs: away } = amounts
/** Delivery must continue within this time after Redis is up again. */
const backWithin = 10_000

const skip = hasRedis() ? false : 'skipped: redis-server is not installed'

t.test('Redis down: orders are accepted, and delivered when it is up again', { skip, timeout: 120_000 }, async (t) => {
  const providers = await startProviders()
  t.teardown(() => providers.stop())
  const system = await startSystem({ env: providers.env })
  t.teardown(() => system.stop())
  const redis = system.redis
  if (!redis) return

  const orders: number[] = []
  const place = async () => {
    const answer = await call(`${system.url}/api/v1/orders`, 'POST', { user_id: 3, items: [{ product_id: 2, quantity: 1 }] })
    if (answer.status !== 201) throw new Error(`${answer.status}: ${JSON.stringify(answer.body)}`)
    orders.push(answer.body.data.id)
  }
  const delivered = () => Math.min(providers.email.keys().length, providers.sms.keys().length)

  await Promise.all([place(), place(), place()])
  await eventually(() => delivered() === orders.length)

  // Jobs that wait for their consumer are lost when Redis is killed. Without a recheck, their rows would be due much later.
  const [notification] = system.services.notification
  await notification?.stop()
  await Promise.all([place(), place(), place(), place()])
  const database = postgres(system.databaseUrl('order'), { max: 1 })
  t.teardown(() => database.end())
  await eventually(async () => {
    const rows = await database`select from orders.outbox where attempts = 1`
    return rows.length === 4
  })
  await database`update orders.outbox set attempts = 4, available_at = now() + interval '2 minutes'`
  await redis.kill()
  await notification?.restart()
  const gone = Date.now()
  while (Date.now() - gone < away) {
    await place()
    await wait(100)
  }
  t.pass(`${orders.length} orders, each with status 201`)

  await redis.restart()
  const back = Date.now()
  await eventually(() => delivered() === orders.length, { timeoutMs: backWithin })
  t.comment(`all delivered ${Date.now() - back} ms after Redis was up again`)
  const list = await call(`${system.url}/api/v1/notifications?status=sent&limit=100`)
  t.equal(list.status, 200)
  t.same((await call(`${system.url}/api/v1/notifications/dead-letters`)).body.data, [])
  t.equal(providers.email.keys().length, orders.length)
  t.equal(providers.sms.keys().length, orders.length)
  t.equal(providers.email.duplicates() + providers.sms.duplicates(), 0)
})
