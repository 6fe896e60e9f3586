import t from 'tap'
import { openCheckpoint } from '../../../src/modules/audit/sealing/checkpoint.ts'
import { createSealRepository } from '../../../src/modules/audit/sealing/repository.ts'
import { createSealer } from '../../../src/modules/audit/sealing/sealer.ts'
import { databaseTrail } from '../../../src/modules/audit/verification/database.ts'
import { createTrailRepository } from '../../../src/modules/audit/verification/repository.ts'
import { verifyTrail } from '../../../src/modules/audit/verification/verify.ts'
import { createDatabase } from '../../../src/platform/db/database.ts'
import { createLog } from '../../../src/platform/observability/log.ts'
import { type AuditDatabase, sampleEntry, startAuditDatabase } from '../../../testing/audit.ts'
import { eventually } from '../../../testing/eventually.ts'

/** Verifies the trail against its newest checkpoint; no entry is unsealed. */
const verifyWhole = async ({ db, seals, keys }: AuditDatabase) => {
  const newest = await seals.newest()
  const trusted = openCheckpoint(keys, newest?.note ?? '')
  if (!trusted) throw new Error('there is no checkpoint')
  return verifyTrail({ trail: await databaseTrail(createTrailRepository(db)), trusted, keys })
}

t.test('recording and sealing', async (t) => {
  const audit = await startAuditDatabase(t)
  const { sql, keys, entries, seals, db } = audit

  await t.test('an entry is recorded once, however often it is sent', async (t) => {
    const batch = Array.from({ length: 20 }, (_, n) => sampleEntry(keys, n))
    const answers = await Promise.all([
      entries.record(batch),
      entries.record(batch.toReversed()),
      ...batch.map((entry) => entries.record([entry, entry])),
    ])
    t.equal(
      answers.reduce((sum, count) => sum + count, 0),
      20,
    )
    t.equal(await entries.record(batch), 0)
    const [count] =
      await sql`select (select count(*)::int from audits.entries) as entries, (select count(*)::int from audits.pending) as waiting`
    t.same(count, { entries: 20, waiting: 20 })
    const [first] = batch
    const row = await entries.page({ limit: 1, after: undefined }, { trace_id: first?.trace_id ?? '' })
    const { id, recorded_at, index, ...stored } = row[0] ?? {}
    t.same(stored, first, 'it is read as it was signed')
    t.equal(index, null)
    t.ok(id && recorded_at)
  })

  await t.test('concurrent single entries share statements', async (t) => {
    const [before] = await sql`select pg_current_xact_id()::text as id`
    await Promise.all(Array.from({ length: 300 }, (_, n) => entries.record([sampleEntry(keys, 100 + n)])))
    const [after] = await sql`select pg_current_xact_id()::text as id`
    const transactions = Number(after?.id) - Number(before?.id)
    t.ok(transactions < 60, `300 entries in ${transactions} transactions`)
  })

  await t.test('the sealer assigns contiguous indexes, with a checkpoint per batch', async (t) => {
    t.equal(await audit.sealer({ everyEntries: 100 }).seal(), 320)
    const sizes = await sql`select size::int from audits.checkpoints order by 1`
    t.same(
      sizes.map(({ size }) => size),
      [100, 200, 300, 320],
    )
    const [gaps] = await sql`
      select min(leaf_index)::int as first, max(leaf_index)::int as last, count(*)::int as leaves, count(distinct entry_id)::int as entries from audits.seals`
    t.same(gaps, { first: 0, last: 319, leaves: 320, entries: 320 })
    t.same(await sql`select * from audits.pending`, [])
    t.match(await verifyWhole(audit), { size: 320, checkpoints: 4 })
    t.equal(await audit.sealer().seal(), 0, 'no checkpoint without new entries')
  })

  await t.test('it seals automatically, by time and by count', async (t) => {
    const byTime = audit.sealer({ everyMs: 50 })
    byTime.start()
    await entries.record([sampleEntry(keys, 500)])
    await eventually(async () => (await seals.newest())?.size === 321)
    await byTime.close()

    const byCount = audit.sealer({ everyMs: 3_600_000, everyEntries: 10 })
    byCount.start()
    for (let n = 0; n < 10; n++) byCount.added(await entries.record([sampleEntry(keys, 600 + n)]))
    await eventually(async () => (await seals.newest())?.size === 331)
    await byCount.close()
    await entries.record([sampleEntry(keys, 700)])
    byCount.added(10)
    t.equal((await seals.newest())?.size, 331, 'a closed sealer does nothing')
  })

  await t.test('several processes seal while entries arrive and connections fail: no gap, no duplicate, none lost', async (t) => {
    const databases = Array.from({ length: 3 }, (_, n) =>
      createDatabase({
        url: audit.url,
        max: 2,
        statementTimeoutMs: 10_000,
        applicationName: `sealer-${n}`,
        role: 'orderhub_audit',
      }),
    )
    const sealers = databases.map((database) =>
      createSealer({
        repository: createSealRepository(database),
        keys,
        anchoring: undefined,
        log: createLog('silent', 'test'),
        everyMs: 5,
        everyEntries: 30,
      }),
    )
    for (const sealer of sealers) sealer.start()
    let killed = 0
    for (let round = 0; round < 30; round++) {
      await Promise.all(Array.from({ length: 20 }, (_, n) => entries.record([sampleEntry(keys, 1000 + round * 20 + n)])))
      const dead = await sql`
        select pg_terminate_backend(pid) from pg_stat_activity where application_name = ${`sealer-${round % 3}`} and state = 'active'`
      killed += dead.length
    }
    await eventually(async () => (await sql`select from audits.pending limit 1`).length === 0, { timeoutMs: 20_000 })
    await Promise.all(sealers.map((sealer) => sealer.close()))
    await Promise.all(databases.map((database) => database.close()))
    t.comment(`${killed} connections were closed during a statement`)
    const [count] = await sql`
      select (select count(*)::int from audits.entries) as entries, (select count(*)::int from audits.seals) as leaves,
             (select max(leaf_index)::int + 1 from audits.seals) as next, (select max(size)::int from audits.checkpoints) as size`
    t.same(count, { entries: 932, leaves: 932, next: 932, size: 932 })
    t.match(await verifyWhole(audit), { size: 932 })
  })

  await t.test('every checkpoint extends the previous one: the new tree contains the old root', async (t) => {
    const old = openCheckpoint(keys, (await sql`select note from audits.checkpoints where size = 300`)[0]?.note)
    if (!old) throw new Error('no such checkpoint')
    t.match(await verifyTrail({ trail: await databaseTrail(createTrailRepository(db)), trusted: old, keys }), { size: 932 })
  })
})
