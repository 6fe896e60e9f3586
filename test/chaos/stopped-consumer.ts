import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import postgres from 'postgres'
import { serviceNames, storingServices } from '../../src/environment.ts'
import { initKeys } from '../../src/platform/keys/key-files.ts'
import { call } from '../../testing/app.ts'
import { startPostgres } from '../../testing/postgres.ts'
import { startProviders } from '../../testing/providers.ts'
import { hasRedis, startRedis } from '../../testing/redis.ts'
import { startService } from '../../testing/service.ts'

// node test/chaos/stopped-consumer.ts [--backlog 10000] [--orders 200]
// Kills notification, commits events for it and for the trail, and places orders meanwhile. Measures the rate of the trail and what
// is delivered after notification is restarted. Exits with 1 if an event is lost or duplicated.
const { values } = parseArgs({
  options: { backlog: { type: 'string', default: '10000' }, orders: { type: 'string', default: '200' } },
})
const backlog = Number(values.backlog)
const orders = Number(values.orders)

const server = await startPostgres()
const redis = hasRedis() ? await startRedis() : undefined
const providers = await startProviders()
const folder = await mkdtemp(join(tmpdir(), 'orderhub-stopped-'))
const url = await server.createDatabase('stopped', storingServices)
await initKeys(join(folder, 'keys'), serviceNames)
const env = {
  ...{ DATABASE_URL: url, DATA_DIR: folder, KEYS_DIR: join(folder, 'keys'), SEED: 'true', WORKERS: '20' },
  ...(redis ? { REDIS_URL: redis.url } : {}),
  ...providers.env,
}
const others = await startService('user,product,order,audit', env)
const notification = await startService('notification', { ...env, USER_SERVICE_URL: others.url })
const sql = postgres(url, { max: 2, onnotice: () => {} })
const stop = async () => {
  await Promise.all([others.kill(), notification.kill()])
  await sql.end()
  await providers.stop()
  await redis?.stop()
  await server.stop()
  await rm(folder, { recursive: true, force: true })
}

const entries = async (): Promise<number> => {
  const [row] = await sql`select count(*)::int as n from audits.entries where action = 'order.created'`
  return row?.n ?? 0
}
const waitingEvents = async (): Promise<number> => {
  const [row] = await sql`select count(*)::int as n from orders.outbox`
  return row?.n ?? 0
}
const secondsUntil = async (done: () => Promise<boolean>, most: number): Promise<number> => {
  const started = performance.now()
  const seconds = () => (performance.now() - started) / 1000
  while (!(await done()) && seconds() < most) await wait(100)
  return seconds()
}
const show = (what: string, value: string) => console.log(`${what.padEnd(34)} ${value}`)

await notification.kill()
show('notification', 'killed (SIGKILL)')
const before = await entries()
// Rows without a queue, as the previous version writes them: the relay finds the subscribers.
await sql`
  insert into orders.outbox (id, type, aggregate_id, version, actor, traceparent, data)
  select gen_random_uuid(), 'order.created', (100000 + n)::text, 1, '{"type": "anonymous", "id": null}', ${`00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`},
         jsonb_build_object('order_id', 100000 + n, 'user_id', 2, 'total', 10, 'currency', 'TWD', 'items',
           '[{"product_id": 2, "product": "Mouse", "quantity": 1, "price": 10}]'::jsonb)
    from generate_series(1, ${backlog}) as n`
const halfMinute = await Promise.all([
  secondsUntil(async () => (await entries()) - before >= backlog + orders, 30),
  (async () => {
    for (let n = 0; n < orders; n += 10)
      await Promise.all(
        Array.from({ length: Math.min(10, orders - n) }, async () => {
          const { status } = await call(`${others.url}/api/v1/orders`, 'POST', {
            user_id: 2,
            items: [{ product_id: 2, quantity: 1 }],
          })
          if (status !== 201) throw new Error(`an order got status ${status}`)
        }),
      )
  })(),
])
const seen = (await entries()) - before
show(
  'trail, notification stopped',
  `${seen} of ${backlog + orders} entries in ${halfMinute[0].toFixed(1)} s: ${Math.round(seen / halfMinute[0])} per second`,
)
const rest = await secondsUntil(async () => (await entries()) - before >= backlog + orders, 240)
show('trail complete', `${(halfMinute[0] + rest).toFixed(1)} s after the kill`)

await notification.restart()
const back = await secondsUntil(async () => (await waitingEvents()) === 0, 900)
show('notification up, all delivered', `${back.toFixed(1)} s after its restart`)
const counted = async (query: postgres.PendingQuery<postgres.Row[]>) => {
  const [row] = await query
  return { events: row?.events as number, rows: row?.rows as number }
}
const trail = await counted(sql`
  select count(distinct event_id)::int as events, count(*)::int as rows from audits.entries where action = 'order.created'`)
const told = await counted(sql`
  select count(distinct event_id)::int as events, count(*)::int as rows
    from notifications.notifications where event_type = 'order.created'`)
const lost = { trail: before + backlog + orders - trail.events, notification: backlog + orders - told.events }
const doubled = { trail: trail.rows - trail.events, email: providers.email.duplicates(), sms: providers.sms.duplicates() }
show('lost', JSON.stringify(lost))
show('doubled', JSON.stringify(doubled))
await stop()
process.exit([...Object.values(lost), ...Object.values(doubled)].every((n) => n === 0) ? 0 : 1)
