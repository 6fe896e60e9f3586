import { once } from 'node:events'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { runMigrations } from '../../../src/app/migrations.ts'
import { call } from '../../../testing/app.ts'
import { eventually } from '../../../testing/eventually.ts'
import { freePort } from '../../../testing/port.ts'
import { startPostgres } from '../../../testing/postgres.ts'
import { runToEnd, startService } from '../../../testing/service.ts'

t.setTimeout(180_000)

const linesOf = (output: string) => output.trimEnd().split('\n')
const database = { DATABASE_URL: 'postgres://127.0.0.1:1/none' }

t.test('the order service alone reports each service that it needs on one line', async (t) => {
  const none = await runToEnd('order', database)
  t.equal(none.status, 78)
  const lines = linesOf(none.output)
  t.equal(lines.length, 2, none.output)
  t.equal(lines.filter((line) => line.includes('USER_SERVICE_URL')).length, 1)
  t.equal(lines.filter((line) => line.includes('PRODUCT_SERVICE_URL')).length, 1)

  const one = await runToEnd('order', { ...database, PRODUCT_SERVICE_URL: 'http://127.0.0.1:1' })
  t.equal(one.status, 78)
  t.match(linesOf(one.output), [/^USER_SERVICE_URL is missing/])
  t.equal(linesOf(one.output).length, 1)
})

t.test('all configuration mistakes are reported together, one line each', async (t) => {
  const unknown = await runToEnd('orders', database)
  t.equal(unknown.status, 78)
  t.match(linesOf(unknown.output), [/"orders".*user.*order.*product.*notification/])
  t.equal(linesOf(unknown.output).length, 1)

  const mistakes = {
    PORT: '70000',
    ORDER_SERVICE_ULR: 'http://127.0.0.1:1',
    USER_SERVICE_URL: 'ftp://user',
    REDIS_URL: '127.0.0.1:6379',
    REQUEST_TIMEOUT_MS: 'soon',
    LOG_LEVEL: 'loud',
    SEED: 'perhaps',
  }
  const { status, output } = await runToEnd('order,mail', { ...database, ...mistakes })
  t.equal(status, 78)
  const lines = linesOf(output)
  for (const key of ['SERVICE', ...Object.keys(mistakes)])
    t.equal(lines.filter((line) => line.startsWith(key) && !line.startsWith(`${key}_`)).length, 1, key)
  t.equal(lines.filter((line) => line.startsWith('PRODUCT_SERVICE_URL is missing')).length, 1)
  t.equal(lines.length, 9, output)
})

t.test('without the user service, orders can be read, but not placed', { timeout: 60_000 }, async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const url = await postgres.createDatabase('orderhub')
  const modules = ['user', 'product', 'order'] as const
  await runMigrations(modules.map((module) => ({ module, url })))
  const env = { DATABASE_URL: url, SEED: 'true' }
  const place = async () => {
    const port = await freePort()
    return { PORT: String(port), url: `http://127.0.0.1:${port}` }
  }
  const user = await place()
  // The order service starts before the user service that it calls.
  const product = await startService('product', env)
  const order = await startService('order', { ...env, USER_SERVICE_URL: user.url, PRODUCT_SERVICE_URL: product.url })
  t.teardown(async () => {
    await order.kill()
    await product.kill()
  })
  const create = () => call(`${order.url}/api/v1/orders`, 'POST', { user_id: 1, items: [{ product_id: 2, quantity: 1 }] })

  const refused = async (t: Test) => {
    const began = performance.now()
    const { status, body } = await create()
    t.match({ status, code: body.code, success: body.success }, { status: 503, code: 'user.unavailable', success: false })
    t.ok(performance.now() - began < 8000, 'within the deadline')
    const read = await call(`${order.url}/api/v1/orders/1`)
    t.equal(read.status, 200)
    t.match(read.body.data, { id: 1, user_id: 1, user: null })
    const { status: listStatus, body: list } = await call(`${order.url}/api/v1/orders`)
    t.equal(listStatus, 200)
    t.ok(list.count >= 2)
    t.ok(list.data.every((one: { user: unknown }) => one.user === null))
  }
  await t.test('not started yet', refused)

  const users = await startService('user', { ...env, PORT: user.PORT })
  t.teardown(() => users.kill())
  await t.test('up', async (t) => {
    await eventually(async () => (await create()).status === 201)
    t.match((await call(`${order.url}/api/v1/orders/1`)).body.data, { user: { id: 1, name: '陳小明' } })
  })

  await users.kill()
  await t.test('stopped', refused)

  const silent = createServer(() => {}).listen(Number(user.PORT), '127.0.0.1')
  await once(silent, 'listening')
  t.teardown(() => silent.close())
  await t.test('it accepts connections, but does not respond', refused)
  t.equal((await call(`${order.url}/health/ready`)).status, 200, 'order stays ready')
})
