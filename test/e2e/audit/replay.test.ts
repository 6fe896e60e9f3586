import { readFileSync, writeFileSync } from 'node:fs'
import { pino } from 'pino'
import postgres from 'postgres'
import t from 'tap'
import { migrationTargets, runMigrations } from '../../../src/app/migrations.ts'
import { readConfig } from '../../../src/config.ts'
import { auditContract } from '../../../src/modules/audit/contract.ts'
import { createIntake } from '../../../src/modules/audit/intake.ts'
import { createParking } from '../../../src/modules/audit/parking.ts'
import { openCheckpoint } from '../../../src/modules/audit/sealing/checkpoint.ts'
import { createAuditService } from '../../../src/modules/audit/service.ts'
import { databaseTrail } from '../../../src/modules/audit/verification/database.ts'
import { createTrailRepository } from '../../../src/modules/audit/verification/repository.ts'
import { snapshotTrail, writeSnapshot } from '../../../src/modules/audit/verification/snapshot.ts'
import { verifyTrail } from '../../../src/modules/audit/verification/verify.ts'
import { serviceContext } from '../../../src/platform/context.ts'
import { createKeyStore } from '../../../src/platform/keys/key-store.ts'
import { createClient, localTransport } from '../../../src/platform/rpc/client.ts'
import { call, runApp } from '../../../testing/app.ts'
import { type AuditDatabase, sampleEntry, startAuditDatabase } from '../../../testing/audit.ts'
import { asService } from '../../../testing/people.ts'
import { startPostgres } from '../../../testing/postgres.ts'
import { trailReader } from '../../../testing/trail.ts'

t.setTimeout(120_000)

const log = pino({ level: 'silent' })

/** Verifies the trail against its newest checkpoint. */
const verify = async ({ seals, keys, db }: AuditDatabase) => {
  const trusted = openCheckpoint(keys, (await seals.newest())?.note ?? '')
  if (!trusted) throw new Error('the trail is not sealed')
  return verifyTrail({ trail: await databaseTrail(createTrailRepository(db)), trusted, keys })
}

t.test('an event has one entry, also after the inbox has deleted its id', async (t) => {
  const audit = await startAuditDatabase(t)
  const { sql, keys, entries, db } = audit
  const given = Array.from({ length: 3 }, (_, n) => sampleEntry(keys, n))
  t.equal(await entries.record(given), 3)
  await sql`delete from audits.inbox`
  t.equal(await entries.record(given), 0, 'sequentially')
  await sql`delete from audits.inbox`
  const fresh = sampleEntry(keys, 4)
  const recorded = await Promise.all(Array.from({ length: 20 }, (_, n) => entries.record([given[n % 3] as typeof fresh, fresh])))
  t.equal(
    recorded.reduce((sum, one) => sum + one, 0),
    1,
    'and concurrently',
  )
  t.match(await sql`select count(*)::int as n from audits.entries`, [{ n: 4 }])

  await t.test('a unique constraint holds for every writer, also the previous version', async (t) => {
    const copy = `insert into audits.entries (event_id, "timestamp", trace_id, span_id, actor_type, resource_type, action, decision, policy_version,
      compliance_tags, details, service, key_id, signature) select event_id, "timestamp", trace_id, span_id, actor_type, resource_type, action, decision,
      policy_version, compliance_tags, details, service, key_id, signature from audits.entries limit 1`
    const asRole = postgres(audit.url, { max: 1, onnotice: () => {}, connection: { role: 'orderhub_audit' } })
    t.teardown(() => asRole.end())
    for (const login of [sql, asRole]) await t.rejects(login.unsafe(copy), { code: '23505', constraint_name: 'event_ids_pkey' })
    for (const statement of [
      "insert into audits.event_ids values (gen_random_uuid(), '')",
      'delete from audits.event_ids',
      'select audits.take_event_id()',
    ])
      await t.rejects(asRole.unsafe(statement), { code: '42501' }, statement)
    await t.rejects(sql`delete from audits.event_ids`, { message: /append-only/ })
  })

  await t.test('verify finds two entries of one event, sealed or not, in a database and in a snapshot', async (t) => {
    const add = async (n: number) => {
      const { actor, resource, ...entry } = given[n] as (typeof given)[0]
      await sql`alter table audits.entries disable trigger one_entry_each`
      await sql`with added as (
        insert into audits.entries ${sql({
          ...entry,
          compliance_tags: sql.json(entry.compliance_tags) as never,
          details: sql.json(entry.details as never) as never,
          actor_type: actor.type,
          actor_id: actor.id,
          resource_type: resource.type,
          resource_id: resource.id,
          resource_version: resource.version,
        } as never)} returning id)
        insert into audits.pending select id from added`
      await sql`alter table audits.entries enable trigger one_entry_each`
    }
    await audit.sealer().seal()
    t.match(await verify(audit), { size: 4 })
    await add(1)
    const named = { name: 'TamperError', message: new RegExp(`entries 2 and \\d+ are both for the event ${given[1]?.event_id}`) }
    await t.rejects(verify(audit), named, 'not sealed yet')
    await audit.sealer().seal()
    await t.rejects(verify(audit), named)

    const newest = await audit.seals.newest()
    const trusted = newest && openCheckpoint(keys, newest.note)
    if (!trusted) throw new Error('the trail is not sealed')
    const file = `${t.testdir({})}/snapshot.jsonl`
    const lines: string[] = []
    for await (const line of writeSnapshot(newest, createTrailRepository(db).leaves(newest.size))) lines.push(line)
    writeFileSync(file, lines.join(''))
    await t.rejects(
      snapshotTrail(file).then((trail) => verifyTrail({ trail, trusted, keys })),
      named,
    )
  })
})

t.test('a service records only the entries that it signed', async (t) => {
  const app = await runApp(t, { SERVICE: 'audit', AUTH: 'on' })
  const keys = createKeyStore({ folder: app.keysDir, strict: false })
  const read = trailReader(t, app.databaseUrl)
  // The sample entries are signed by user, order, product and so on, in turn.
  const [users, orders] = [sampleEntry(keys, 0), sampleEntry(keys, 1)]
  const send = async (caller: string, entries: unknown[]) =>
    call(`${app.url}/internal/audit/record`, 'POST', { entries }, await asService(app.keysDir, caller, 'audit'))
  t.match(await send('user', [users]), { status: 200, body: { recorded: 1 } })
  for (const entries of [[users], [orders, users], [sampleEntry(keys, 5)]])
    t.match(await send('order', entries), { status: 403, body: { code: 'auth.forbidden' } })
  t.match(await send('order', [orders]), { status: 200, body: { recorded: 1 } })
  t.match(await send('user', [users]), { status: 200, body: { recorded: 0 } })
  // A service that sees another's event in flight could record an entry for it first: the real entry becomes a dead letter.
  const early = sampleEntry(keys, 6)
  const real = sampleEntry(keys, 10, { event_id: early.event_id })
  t.same([early.service, real.service], ['order', 'user'])
  t.match(await send('order', [early]), { status: 200, body: { recorded: 1 } })
  const more = sampleEntry(keys, 15)
  t.match(await send('user', [real, more]), { status: 409, body: { code: 'audit.event_taken' } })
  t.ok(
    (await read()).some(({ event_id }) => event_id === more.event_id),
    'the other entry is recorded',
  )
  const sql = postgres(app.databaseUrl, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  t.match((await sql`select event_id, reason from audits.dead_letters`).slice(), [
    { event_id: real.event_id, reason: 'audit.event_taken' },
  ])

  const recorded = (await read()).filter(({ event_id }) => [users, orders].some((entry) => entry.event_id === event_id))
  t.equal(recorded.length, 2)
  t.equal((await read()).filter(({ event_id }) => event_id === users.event_id).length, 1)
})

t.test('the same in one process', async (t) => {
  const audit = await startAuditDatabase(t)
  const { entries, seals, keys, db } = audit
  const intake = createIntake({ repository: entries, sealer: audit.sealer(), log })
  const parking = createParking({ repository: entries, intake, keys, log })
  const service = createAuditService({
    entries,
    intake,
    parking,
    seals,
    keys,
    log,
    auth: true,
    trail: createTrailRepository(db),
  })
  const api = { record: async (input: never, { caller }: { caller?: string }) => ({ recorded: await recordOf(input, caller) }) }
  const recordOf = ({ entries }: { entries: never[] }, caller: string | undefined) => service.record(entries, caller)
  const as = (caller: string | undefined) =>
    createClient({ contract: auditContract, transport: localTransport(api as never), log, ...(caller ? { caller } : {}) })
  const record = (caller: string | undefined) =>
    as(caller).record({ entries: [sampleEntry(keys, 0)] }, serviceContext('user', 2000))
  t.same(await record('user'), { recorded: 1 })
  for (const caller of ['order', undefined]) await t.rejects(record(caller), { code: 'auth.forbidden' }, caller ?? 'nobody')
})

t.test('the migration accepts an existing trail, also with two entries for one event', async (t) => {
  const server = await startPostgres()
  t.teardown(() => server.stop())
  const url = await server.createDatabase('before')
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  const folder = new URL('../../../drizzle/audit/', import.meta.url)
  const { entries } = JSON.parse(readFileSync(new URL('meta/_journal.json', folder), 'utf8'))
  await sql.unsafe(`create schema orderhub_migrations;
    create table orderhub_migrations.audit (id serial primary key, hash text not null, created_at bigint)`)
  for (const { tag, when } of entries.filter(({ tag }: { tag: string }) => !tag.endsWith('one_entry_each'))) {
    for (const statement of readFileSync(new URL(`${tag}.sql`, folder), 'utf8').split('--> statement-breakpoint'))
      await sql.unsafe(statement)
    await sql`insert into orderhub_migrations.audit (hash, created_at) values (${tag}, ${when})`
  }
  const insert = (id: string) =>
    sql.unsafe(`insert into audits.entries (event_id, "timestamp", trace_id, span_id, actor_type, resource_type, action, decision, policy_version,
      compliance_tags, details, service, key_id, signature) values ('${id}', '', '', '', '', '', '', 'denied', '', '[]', '{}', '', '', '')`)
  const ids = ['0198c3f2-5b7e-7c4a-9d1e-3f6a8b2c4d5e', '0198c3f2-5b7e-7c4a-9d1e-3f6a8b2c4d5f'] as const
  for (const id of [ids[0], ids[0], ids[1]]) await insert(id)
  await runMigrations(migrationTargets(readConfig({ SERVICE: 'audit', DATABASE_URL: url })))
  t.match(await sql`select count(*)::int as n from audits.entries`, [{ n: 3 }])
  t.match(await sql`select count(*)::int as n from audits.event_ids`, [{ n: 2 }])
  for (const id of ids) await t.rejects(insert(id), { code: '23505' })
})
