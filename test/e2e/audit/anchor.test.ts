import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { chmod, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { pino } from 'pino'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { type Anchor, anchorName, createAnchor } from '../../../src/modules/audit/sealing/anchor.ts'
import { createAnchoring } from '../../../src/modules/audit/sealing/anchoring.ts'
import { openCheckpoint, signCheckpoint } from '../../../src/modules/audit/sealing/checkpoint.ts'
import { createKeyStore } from '../../../src/platform/keys/key-store.ts'
import { runApp } from '../../../testing/app.ts'
import { sampleEntry, startAuditDatabase } from '../../../testing/audit.ts'
import { hasBucket, startBucket } from '../../../testing/bucket.ts'
import { eventually } from '../../../testing/eventually.ts'

t.setTimeout(180_000)

const newFolder = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-anchor-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}
/** An anchor that fails while `away()` is true. */
const awayWhile = (real: Anchor, away: () => boolean): Anchor => {
  const look = () => (away() ? Promise.reject(new Error('down')) : Promise.resolve())
  return {
    put: (size, note) => look().then(() => real.put(size, note)),
    holds: (size) => look().then(() => real.holds(size)),
    newest: (upTo) => look().then(() => real.newest(upTo)),
  }
}
const folderAnchor = (folder: string) => createAnchor({ address: folder, credentials: undefined })

t.test('a folder stores each checkpoint under its size, and none can be replaced', async (t) => {
  const folder = join(newFolder(t), 'not', 'there', 'yet')
  const anchor = folderAnchor(folder)
  await Promise.all([anchor.put(7, 'seven\n'), anchor.put(7, 'seven\n'), anchor.put(1000, 'thousand\n')])
  t.same(readdirSync(folder).sort(), ['0000000000000007.txt', '0000000000001000.txt'], 'no temporary file is left')
  await t.rejects(anchor.put(7, 'another\n'), { message: /holds a different checkpoint/ })
  t.equal(readFileSync(join(folder, anchorName(7)), 'utf8'), 'seven\n')
})

t.test('every checkpoint is anchored; a failing anchor delays nothing', async (t) => {
  const audit = await startAuditDatabase(t)
  const { entries, seals, keys } = audit
  const folder = newFolder(t)
  const real = folderAnchor(folder)
  let away = true
  const anchor = awayWhile(real, () => away)
  const { lag } = createAnchoring({ repository: seals, keys, anchor, log: pino({ level: 'silent' }) })
  const sealer = audit.sealer({ everyMs: 20, everyEntries: 10, anchor })
  sealer.start()
  t.teardown(() => sealer.close())
  await entries.record(Array.from({ length: 35 }, (_, n) => sampleEntry(keys, n)))
  await eventually(async () => (await seals.newest())?.size === 35)
  const stored = await audit.sql`select size, note from audits.checkpoints order by size`
  t.match(await seals.unsealed(), { count: 0, age: 0 })
  t.match(await lag(), { checkpoints: stored.length })
  t.same(readdirSync(folder), [])

  away = false
  await eventually(async () => (await lag()).checkpoints === 0)
  t.same(await lag(), { checkpoints: 0, age: 0 })
  t.same(
    readdirSync(folder).sort(),
    stored.map(({ size }) => anchorName(size)),
  )
  for (const { size, note } of stored) t.equal(readFileSync(join(folder, anchorName(size)), 'utf8'), note)
})

t.test('a service anchors its checkpoints, and reports how many are not anchored yet', async (t) => {
  const folder = newFolder(t)
  const app = await runApp(t, { SERVICE: 'audit', AUDIT_ANCHOR: folder })
  const keys = createKeyStore({ folder: app.keysDir, strict: false })
  const body = { entries: [sampleEntry(keys, 1), sampleEntry(keys, 2)] }
  const answer = await fetch(`${app.url}/internal/audit/record`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  t.same(await answer.json(), { recorded: 2 })
  await eventually(() => readdirSync(folder).includes(anchorName(2)))
  t.match(openCheckpoint(keys, readFileSync(join(folder, anchorName(2)), 'utf8')), { size: 2 })
  await eventually(async () => {
    const metrics = await (await fetch(app.metricsUrl)).text()
    return /^audit_anchor_behind 0$/m.test(metrics) && /^audit_unsealed 0$/m.test(metrics)
  })

  await t.test('an anchor that is not writable is reported', async (t) => {
    await rm(folder, { recursive: true, force: true })
    await writeFile(folder, 'a file is in the way')
    await chmod(folder, 0o444)
    await fetch(`${app.url}/internal/audit/record`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ entries: [sampleEntry(keys, 3)] }),
    })
    await eventually(async () => /^audit_anchor_behind 1$/m.test(await (await fetch(app.metricsUrl)).text()))
    t.match((await app.api('/audit/3/proof')).body.data, { tree_size: 3 })
  })
})

const gaugeOf = async (metricsUrl: string, name: string): Promise<number> =>
  Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(await (await fetch(metricsUrl)).text())?.[1] ?? Number.NaN)

/** The anchored files, without temporary files that are not complete. */
const anchored = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => !name.startsWith('.'))
    .sort()

t.test('no row that the service’s role can write stops the anchoring or hides that it is behind', async (t) => {
  const folder = newFolder(t)
  const app = await runApp(t, { SERVICE: 'audit', AUDIT_ANCHOR: folder })
  const keys = createKeyStore({ folder: app.keysDir, strict: false })
  const asRole = postgres(app.databaseUrl, { max: 1, onnotice: () => {}, connection: { role: 'orderhub_audit' } })
  t.teardown(() => asRole.end())
  const record = (n: number) =>
    fetch(`${app.url}/internal/audit/record`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ entries: [sampleEntry(keys, n)] }),
    })
  await record(1)
  await eventually(() => readdirSync(folder).includes(anchorName(1)))
  const note = readFileSync(join(folder, anchorName(1)), 'utf8')
  await asRole`insert into audits.anchored values (9000000000000000)`
  await asRole`insert into audits.checkpoints (size, note) values (8000000000000000, 'a row of somebody'), (7000000000000000, ${note})`
  await record(2)
  await eventually(() => readdirSync(folder).includes(anchorName(2)), { timeoutMs: 20_000 })
  t.same(anchored(folder), [1, 2].map(anchorName), 'a checkpoint not signed by this log is not anchored')

  await t.test('while the anchor is down the gauges show how far behind it is', async () => {
    await rm(folder, { recursive: true, force: true })
    await writeFile(folder, 'a file is in the way')
    await asRole`insert into audits.anchored values (9000000000000001)`
    await record(3)
    await eventually(async () => (await gaugeOf(app.metricsUrl, 'audit_anchor_behind')) === 1, { timeoutMs: 20_000 })
    await eventually(async () => (await gaugeOf(app.metricsUrl, 'audit_anchor_behind_seconds')) > 0)
  })
})

t.test('a new process reads the anchor, and finds checkpoints that are missing there', async (t) => {
  const audit = await startAuditDatabase(t)
  const { entries, seals, keys, sql: superuser } = audit
  const folder = newFolder(t)
  const start = () => createAnchoring({ repository: seals, keys, anchor: folderAnchor(folder), log: pino({ level: 'silent' }) })
  for (const n of [1, 2]) {
    await entries.record([sampleEntry(keys, n)])
    await audit.sealer().seal()
  }
  await superuser`insert into audits.anchored values (9000000000000000)`
  t.match(await start().lag(), { checkpoints: 2 })
  const anchoring = start()
  await anchoring.run()
  t.same(anchored(folder), [1, 2].map(anchorName))
  for (const one of [anchoring, start()]) t.same(await one.lag(), { checkpoints: 0, age: 0 })
  await rm(join(folder, anchorName(2)))
  for (const one of [anchoring, start()]) t.match(await one.lag(), { checkpoints: 1 })
  await anchoring.run()
  t.same(anchored(folder), [1, 2].map(anchorName), 'anchored again')
})

t.test('a row that blocks the sealer causes an error, and the age of unsealed entries shows it', async (t) => {
  const audit = await startAuditDatabase(t)
  const { entries, seals, keys, db } = audit
  await entries.record([sampleEntry(keys, 1)])
  await db.run(sql`insert into audits.checkpoints (size, note) values (1, 'a row of somebody')`)
  await t.rejects(audit.sealer().seal(), { message: /in the way: a leaf at index 0, or a checkpoint of size 1/ })
  await eventually(async () => (await seals.unsealed()).age > 0)
  t.match(await seals.unsealed(), { count: 1 })
})

t.test('a bucket without credentials is refused before anything starts', async (t) => {
  t.throws(() => createAnchor({ address: 's3://bucket/prefix', credentials: undefined }), { message: /needs credentials/ })
  await t.rejects(runApp(t, { SERVICE: 'audit', AUDIT_ANCHOR: 's3://bucket' }), {
    message: /AUDIT_ANCHOR: a bucket needs AWS_ACCESS_KEY_ID/,
  })
})

t.test(
  'a bucket with object lock protects checkpoints from deletion for five years',
  { skip: hasBucket() ? false : 'skipped: versitygw is not installed' },
  async (t) => {
    const bucket = await startBucket()
    t.teardown(() => bucket.stop())
    const audit = await startAuditDatabase(t)
    const anchor = createAnchor(bucket)
    const note = signCheckpoint(audit.keys, { size: 3, root: Buffer.alloc(32) })
    await anchor.put(3, note)
    await anchor.put(3, note)
    await t.rejects(anchor.put(3, `${note}changed`), { message: /holds a different checkpoint/ })

    const path = `/checkpoints/${anchorName(3)}`
    t.equal(await (await bucket.request(path)).text(), note)
    const object = await bucket.request(path, { method: 'HEAD' })
    t.same([await anchor.holds(3), await anchor.holds(4)], [true, false])
    t.same([await anchor.newest(3), await anchor.newest(2)], [3, 0])
    for (const size of [2000, 50_000, 50_001])
      await anchor.put(size, signCheckpoint(audit.keys, { size, root: Buffer.alloc(32) }))
    const newest = await Promise.all([1999, 2000, 49_999, 50_000, 1_000_000_000_000].map(anchor.newest))
    t.same(newest, [3, 2000, 2000, 50_000, 50_001], 'also in a range larger than one listing')
    t.equal(object.headers.get('x-amz-object-lock-mode'), 'COMPLIANCE')
    const until = Date.parse(object.headers.get('x-amz-object-lock-retain-until-date') ?? '')
    t.ok(until > Date.now() + 4.99 * 365.25 * 86_400_000, `until ${new Date(until).toISOString()}`)
    const version = object.headers.get('x-amz-version-id')
    const removal = await bucket.request(`${path}?versionId=${version}`, { method: 'DELETE' })
    t.equal(removal.status, 403, 'the bucket’s owner cannot delete a checkpoint')
    t.equal((await bucket.request(`${path}?versionId=${version}`)).status, 200)

    await audit.entries.record([sampleEntry(audit.keys, 1), sampleEntry(audit.keys, 2)])
    const sealer = audit.sealer({ everyMs: 20, anchor })
    sealer.start()
    await eventually(async () => (await bucket.request(`/checkpoints/${anchorName(2)}`)).ok)
    await sealer.close()
    const wrong = createAnchor({ ...bucket, credentials: { accessKeyId: 'anchor', secretAccessKey: 'wrong' } })
    await t.rejects(wrong.put(9, note), { message: /status 403/ })
  },
)
