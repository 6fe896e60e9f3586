import postgres from 'postgres'
import t, { type Test } from 'tap'
import { type AuditEntry, isSigned } from '../../../src/platform/audit/entry.ts'
import { everyEvent } from '../../../src/platform/contract.ts'
import { createKeyStore } from '../../../src/platform/keys/key-store.ts'
import { policy } from '../../../src/policy.ts'
import { moduleNames, registry, subscriptionsTo } from '../../../src/registry.ts'
import { type RunningApp, runApp } from '../../../testing/app.ts'
import { onEachBackend } from '../../../testing/backends.ts'
import { eventually } from '../../../testing/eventually.ts'
import { signedIn } from '../../../testing/people.ts'
import { startProviders } from '../../../testing/providers.ts'
import { trailReader } from '../../../testing/trail.ts'

t.setTimeout(180_000)

const person = { name: 'Ada Lovelace', email: 'ada@example.org', phone: '+441234567890', locale: 'en' }

/** The content of a change's entry, without ids and signature. */
const told = ({ action, resource, actor, decision, compliance_tags, service }: AuditEntry) => [
  action,
  `${resource.type} ${resource.id} v${resource.version}`,
  `${actor.type} ${actor.id}`,
  decision,
  compliance_tags.join(),
  service,
]

/** Makes a change as the administrator, in its own trace. Returns the body's data and the trace's id. */
const changer = ({ api }: RunningApp, headers: Record<string, string>) => {
  let changes = 0
  return async (path: string, method: string, body?: unknown) => {
    const trace = String(++changes).padStart(32, '0')
    const answer = await api(path, method, body, { ...headers, traceparent: `00-${trace}-00000000000000aa-01` })
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return { data: answer.body.data, trace }
  }
}

const start = async (t: Test, env: Record<string, string>) => {
  const providers = await startProviders()
  const app = await runApp(t, { AUTH: 'on', ...env, ...providers.env }, { queue: { attempts: 2, backoffMs: 50 } })
  t.teardown(() => providers.stop())
  const admin = await signedIn(app.keysDir, 1)
  const read = trailReader(t, app.databaseUrl)
  /** The only entry of a trace, except for `follows`: the action that the change causes in another module. */
  const entryOf = (trace: string, follows?: string) =>
    eventually(async () => {
      const [entry, ...more] = (await read()).filter(({ trace_id, action }) => trace_id === trace && action !== follows)
      if (more.length > 0) throw new Error(`${more.length} entries too many: ${JSON.stringify(more)}`)
      return entry ?? false
    })
  return { app, providers, admin, read, entryOf, change: changer(app, admin) }
}

t.test('every event of every module goes to the audit module', async (t) => {
  for (const name of moduleNames) {
    const toAudit = subscriptionsTo(name).filter(({ queue }) => queue === 'audit')
    for (const published of Object.keys(registry[name].contract.events))
      t.ok(
        toAudit.some(({ type }) => type === published || type === everyEvent),
        published,
      )
  }
})

await onEachBackend(t, 'the trail', async (t, env) => {
  const { app, providers, admin, read, entryOf, change } = await start(t, env)
  const keys = createKeyStore({ folder: app.keysDir, strict: false })

  await t.test('each change has an entry: who, what, which version, under which policy, signed', async (t) => {
    const user = (await change('/users', 'POST', person)).data.id
    const product = (await change('/products', 'POST', { sku: 'TRAIL-1', name: 'Trail', price: 10 })).data.id
    const order = (await change('/orders', 'POST', { user_id: user, items: [{ product_id: product, quantity: 1 }] })).data.id
    const other = (await change('/orders', 'POST', { user_id: user, items: [{ product_id: product, quantity: 2 }] })).data.id
    const steps: readonly [string, string, unknown, string, string][] = [
      [`/users/${user}`, 'PATCH', { phone: '+886912345678' }, 'user.updated', `user ${user} v2`],
      [`/products/${product}`, 'PATCH', { price: 11 }, 'product.updated', `product ${product} v2`],
      [`/inventory/${product}`, 'PUT', { available: 5 }, 'inventory.set', `inventory ${product} v1`],
      [`/inventory/${product}`, 'PUT', { available: 6 }, 'inventory.set', `inventory ${product} v2`],
      [`/inventory/${product}`, 'DELETE', undefined, 'inventory.removed', `inventory ${product} v3`],
      [`/orders/${order}`, 'PATCH', { status: 'processing' }, 'order.status_changed', `order ${order} v2`],
      [`/orders/${order}`, 'PATCH', { status: 'completed' }, 'order.status_changed', `order ${order} v3`],
      [`/orders/${other}/cancel`, 'POST', undefined, 'order.cancelled', `order ${other} v2`],
      [`/products/${product}`, 'DELETE', undefined, 'product.deleted', `product ${product} v3`],
      [`/users/${user}`, 'DELETE', undefined, 'user.deleted', `user ${user} v3`],
    ]
    const tags: Record<string, string> = { user: 'personal-data,access-control', order: 'financial' }
    for (const [path, method, body, action, resource] of steps) {
      // The order module removes the stock of a deleted product asynchronously: before or after this check.
      const follows = action === 'product.deleted' ? 'inventory.removed' : undefined
      const entry = await entryOf((await change(path, method, body)).trace, follows)
      const [type = ''] = resource.split(' ')
      const service = type === 'inventory' ? 'order' : type
      t.same(told(entry), [action, resource, 'user 1', 'approved', tags[type] ?? '', service])
      t.equal(entry.policy_version, policy.version)
    }
    const tracked = (await change('/products', 'POST', { sku: 'TRAIL-2', name: 'Trail', price: 10 })).data.id
    await change(`/inventory/${tracked}`, 'PUT', { available: 5 })
    const { trace } = await change(`/products/${tracked}`, 'DELETE')
    const removed = await eventually(
      async () => (await read()).find(({ trace_id, service }) => trace_id === trace && service === 'order') ?? false,
    )
    const expected = ['inventory.removed', `inventory ${tracked} v2`, 'user 1', 'approved', '', 'order']
    t.same(told(removed), expected, 'stock is removed on behalf of the user who deleted the product')
    const entries = await read()
    for (const action of ['user.created', 'product.created', 'order.created'])
      t.match(entries.find((entry) => entry.action === action)?.resource, { version: 1 }, action)
    t.ok(
      entries.every((entry) => isSigned(keys, entry)),
      'each is signed by its service',
    )
  })

  await t.test('a retry and a replay are changes too', async (t) => {
    providers.sms.behave('refuse')
    await change('/orders', 'POST', { user_id: 2, items: [{ product_id: 2, quantity: 1 }] })
    const [letter] = await eventually(async () => {
      const { data } = (await app.api('/notifications/dead-letters', 'GET', undefined, admin)).body
      return data.length > 0 && data
    })
    const { data: failed } = (await app.api('/notifications?status=failed', 'GET', undefined, admin)).body
    const [message] = failed
    const retried = await entryOf((await change(`/notifications/${message.id}/retry`, 'POST')).trace)
    t.same(told(retried).slice(0, 3), ['notification.retry_requested', `notification ${message.id} v2`, 'user 1'])

    const { trace } = await change(`/notifications/dead-letters/${letter.event_id}/replay`, 'POST')
    const replayed = await entryOf(trace)
    t.same(told(replayed).slice(0, 3), ['notification.dead_letter_replayed', `notification ${letter.event_id} v1`, 'user 1'])
    t.same(replayed.details, { event_id: letter.event_id, type: 'order.created' })
    providers.sms.behave('accept')
  })

  await t.test('the trail also has a change that is in no contract', async (t) => {
    const sql = postgres(app.databaseUrl, { max: 1, onnotice: () => {} })
    t.teardown(() => sql.end())
    const trace = 'd'.repeat(32)
    await sql`insert into products.outbox (id, type, aggregate_id, version, actor, traceparent, data)
              values (gen_random_uuid(), 'product.unheard_of', '1', 9, '{"type":"user","id":"1"}', ${`00-${trace}-00000000000000aa-01`}, '{}')`
    t.match((await entryOf(trace)).resource, { type: 'product', id: '1', version: 9 })
    await eventually(async () => (await sql`select from products.outbox`).length === 0)
  })

  await t.test('no entry has personal data', async (t) => {
    const text = JSON.stringify(await read())
    for (const value of [person.name, person.email, person.phone, '+886912345678', '@']) t.notOk(text.includes(value), value)
  })

  await t.test("an event's rows are deleted when all its subscribers have handled it", async (t) => {
    const sql = postgres(app.databaseUrl, { max: 1, onnotice: () => {} })
    t.teardown(() => sql.end())
    const { trace } = await change('/orders', 'POST', { user_id: 2, items: [{ product_id: 2, quantity: 1 }] })
    await entryOf(trace)
    const many = Array.from({ length: 60 }, () =>
      change('/orders', 'POST', { user_id: 3, items: [{ product_id: 3, quantity: 1 }] }),
    )
    const traces = new Set((await Promise.all(many)).map((made) => made.trace))
    await eventually(async () => (await read()).filter(({ trace_id }) => traces.has(trace_id)).length === 60)
    // Before a row's lease ends; after that the relay would query the states of the jobs.
    await eventually(async () => {
      const rows = await sql`select type, attempts, delivered from orders.outbox`
      if (rows.length > 0) throw new Error(JSON.stringify(rows.slice(0, 3)))
    })
  })
})
