import postgres from 'postgres'
import t, { type Test } from 'tap'
import { entryOf } from '../../../src/platform/audit/entry.ts'
import type { EventEnvelope } from '../../../src/platform/events/event.ts'
import { newUuid } from '../../../src/platform/ids.ts'
import { createKeyStore } from '../../../src/platform/keys/key-store.ts'
import { registry } from '../../../src/registry.ts'
import { type RunningApp, runApp } from '../../../testing/app.ts'
import { onEachBackend } from '../../../testing/backends.ts'
import { eventually } from '../../../testing/eventually.ts'

t.setTimeout(180_000)

const consumers = Object.values(registry)
  .map(({ contract }) => contract)
  .filter(({ subscribes }) => subscribes.length > 0)

/** A dead letter that the consumer cannot handle: the event's type is unknown, and it has no audit entry. */
const bury = async (sql: postgres.Sql, schema: string, type: string): Promise<string> => {
  const id = newUuid()
  const event = {
    ...{ id, type, aggregate_id: '1', version: 1, actor: { type: 'anonymous', id: null } },
    ...{
      traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
      policy_version: '',
      occurred_at: '2026-01-01T00:00:00Z',
      data: {},
    },
  }
  await sql`insert into ${sql(schema)}.dead_letters (event_id, type, event, reason, attempts, failed_at)
            values (${id}, ${type}, ${sql.json(event)}, 'test', 3, now() - interval '1 day')`
  return id
}

const replays = async (t: Test, app: RunningApp, name: string) => {
  const sql = postgres(app.databaseUrl, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  const schema = `${name}s`
  const [path] = registry[name as keyof typeof registry].contract.paths
  const lettersOf = async () => {
    const { status, body } = await app.api(`${path}/dead-letters?limit=100`)
    t.equal(status, 200)
    return body.data as { event_id: string; type: string; reason: string; failed_at: string }[]
  }
  const failedAgain = (ids: readonly string[]) =>
    eventually(async () => {
      const letters = await lettersOf()
      return ids.every((id) => letters.some(({ event_id, reason }) => event_id === id && reason !== 'test'))
    })
  const replayedOnTrail = async () => {
    const { body } = await app.api(`/audit?action=${name}.dead_letter_replayed&limit=100`)
    return (body.data as { resource: { id: string } }[]).map(({ resource }) => resource.id)
  }

  const lost = [await bury(sql, schema, 'test.lost'), await bury(sql, schema, 'test.lost')]
  const other = await bury(sql, schema, 'test.other')
  t.same((await lettersOf()).length, 3)

  const one = await app.api(`${path}/dead-letters/${other}/replay`, 'POST')
  t.match(one, { status: 202, body: { data: { event_id: other, type: 'test.other' }, message: String } })
  await failedAgain([other])

  const replay = (body: object) => app.api(`${path}/dead-letters/replay`, 'POST', body)
  t.match(await replay({ type: 'test.unknown' }), { status: 202, body: { data: { count: 0 } } })
  t.match(await replay({ before: '2020-01-01T00:00:00Z' }), { status: 202, body: { data: { count: 0 } } })
  t.match(await replay({ type: 'test.lost', before: new Date().toISOString() }), { status: 202, body: { data: { count: 2 } } })
  await failedAgain(lost)
  t.match(await replay({ event_ids: [other, newUuid()] }), { status: 202, body: { data: { count: 1 } } })
  t.match(await replay({ limit: 1 }), { status: 202, body: { data: { count: 1 } } }, 'at most `limit`')
  t.match(await replay({ event_ids: ['x'] }), { status: 400, body: { code: 'request.invalid' } })
  t.match(await replay({ limit: 501 }), { status: 400, body: { code: 'request.invalid' } })
  t.match(await replay({ surprise: 1 }), { status: 400, body: { code: 'request.invalid' } })

  const said = await eventually(async () => {
    const ids = await replayedOnTrail()
    return ids.length >= 5 && ids
  })
  t.equal(said.length, 5, 'the trail has each replay of each letter')
  t.same(new Set(said), new Set([...lost, other]))
  t.equal((await app.api(`${path}/dead-letters/${newUuid()}/replay`, 'POST')).status, 404)
  await eventually(async () => (await sql`select from ${sql(schema)}.outbox`).length === 0)
}

await onEachBackend(t, 'dead letters', async (t, env) => {
  const app = await runApp(t, env, { queue: { attempts: 2, backoffMs: 20 } })
  t.same(consumers.map(({ name }) => name).sort(), ['audit', 'notification', 'order'], 'this list has every consumer')
  for (const { name } of consumers)
    await t.test(`${name}: dead letters are listed, and replayed singly and in bulk`, (t) => replays(t, app, name))

  await t.test('a dead letter of the trail is recorded by a replay once its cause is fixed', async (t) => {
    const sql = postgres(app.databaseUrl, { max: 1, onnotice: () => {} })
    t.teardown(() => sql.end())
    const event: EventEnvelope = {
      ...{ id: newUuid(), type: 'product.updated', aggregate_id: '77', version: 3, data: { fields: [] } },
      ...{ actor: { type: 'service', id: 'product' }, policy_version: '', occurred_at: '2026-01-01T00:00:00Z' },
      traceparent: `00-${'c'.repeat(32)}-${'d'.repeat(16)}-01`,
    }
    const entry = entryOf(createKeyStore({ folder: app.keysDir, strict: false }), 'product', event, {})
    await sql`insert into audits.dead_letters (event_id, type, event, reason, attempts)
              values (${event.id}, ${event.type}, ${sql.json({ ...event, entry } as never)}, 'audit.invalid_signature', 8)`
    t.equal((await app.api(`/audit/dead-letters/${event.id}/replay`, 'POST')).status, 202)
    await eventually(async () => (await app.api('/audit?resource_id=77&action=product.updated')).body.data.length === 1)
    await eventually(async () => (await sql`select from audits.dead_letters where event_id = ${event.id}`).length === 0)
  })
})
