import { hash } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import canonicalize from 'canonicalize'
import postgres from 'postgres'
import t from 'tap'
import { openCheckpoint } from '../../../src/modules/audit/sealing/checkpoint.ts'
import { snapshotTrail } from '../../../src/modules/audit/verification/snapshot.ts'
import { verifyTrail } from '../../../src/modules/audit/verification/verify.ts'
import type { AuditEntry } from '../../../src/platform/audit/schema.ts'
import { newUuid } from '../../../src/platform/ids.ts'
import { createKeyStore } from '../../../src/platform/keys/key-store.ts'
import { type RunningApp, runApp } from '../../../testing/app.ts'
import { sampleEntry } from '../../../testing/audit.ts'
import { eventually } from '../../../testing/eventually.ts'
import { signedIn } from '../../../testing/people.ts'

const sha256 = (...parts: readonly Uint8Array[]) => hash('sha256', Buffer.concat(parts), 'buffer')

/** RFC 9162, section 2.1.3.2, without the service's code. */
const isIncluded = (leaf: Buffer, leafIndex: number, treeSize: number, path: readonly Buffer[], root: Buffer): boolean => {
  if (leafIndex >= treeSize) return false
  let fn = leafIndex
  let sn = treeSize - 1
  let r = leaf
  for (const p of path) {
    if (sn === 0) return false
    if (fn % 2 === 1 || fn === sn) {
      r = sha256(Buffer.from([1]), p, r)
      if (fn % 2 === 0)
        do {
          fn = Math.floor(fn / 2)
          sn = Math.floor(sn / 2)
        } while (fn % 2 === 0 && fn !== 0)
    } else r = sha256(Buffer.from([1]), r, p)
    fn = Math.floor(fn / 2)
    sn = Math.floor(sn / 2)
  }
  return sn === 0 && r.equals(root)
}

const record = async ({ url }: RunningApp, entries: readonly unknown[]) => {
  const response = await fetch(`${url}/internal/audit/record`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ entries }),
  })
  return { status: response.status, body: await response.json() }
}

t.test('the audit routes', { timeout: 120_000 }, async (t) => {
  const app = await runApp(t, { SERVICE: 'audit' })
  const { api } = app
  const keys = createKeyStore({ folder: app.keysDir, strict: false })
  const sql = postgres(app.databaseUrl, { max: 1 })
  t.teardown(() => sql.end())
  const sent = Array.from({ length: 45 }, (_, n) => sampleEntry(keys, n))

  await t.test('without a sealed entry there is no checkpoint, no snapshot and no proof', async (t) => {
    t.match(await api('/audit'), { status: 200, body: { data: [], count: 0 } })
    for (const path of ['/audit/checkpoint', '/audit/snapshot'])
      t.match(await api(path), { status: 409, body: { code: 'audit.not_sealed' } })
    t.match(await api('/audit/1'), { status: 404, body: { code: 'audit.not_found' } })
    t.match(await api('/audit/1/proof'), { status: 404, body: { code: 'audit.not_found' } })
    for (const id of ['0', 'x', '99999999999999999999']) t.match(await api(`/audit/${id}`), { status: 400 })
  })

  t.same(await record(app, sent), { status: 200, body: { recorded: 45 } })
  t.same(await record(app, sent.slice(10)), { status: 200, body: { recorded: 0 } })

  await t.test('an entry without a valid signature of its service is a dead letter, not part of the trail', async (t) => {
    const good = sampleEntry(keys, 100)
    const [first] = sent as [AuditEntry]
    const bad: Record<string, AuditEntry> = {
      'a changed action': { ...sampleEntry(keys, 101), action: 'order.cancelled' },
      'an old signature under a new id': { ...first, event_id: newUuid() },
      'no signature': { ...sampleEntry(keys, 105), signature: '' },
      'a number that is not exact': { ...sampleEntry(keys, 106), resource: { type: 'order', id: '1', version: 2 ** 60 } },
    }
    /** Entries whose key is not known yet. */
    const waiting: Record<string, AuditEntry> = {
      'another service’s name': { ...sampleEntry(keys, 102), service: 'audit' },
      'an unknown service': { ...sampleEntry(keys, 103), service: 'unknown' },
      'an unknown key': { ...sampleEntry(keys, 104), key_id: newUuid() },
    }
    const answer = await record(app, [good, ...Object.values(bad), ...Object.values(waiting)])
    const ids = Object.values(bad).map(({ event_id }) => event_id)
    t.match(answer, { status: 422, body: { code: 'audit.invalid_signature', event_ids: ids } })
    t.match((await api(`/audit?trace_id=${good.trace_id}`)).body, { count: 1 }, 'the trail has the valid entry')
    for (const [what, { trace_id, event_id }] of Object.entries({ ...bad, ...waiting })) {
      const { data } = (await api(`/audit?trace_id=${trace_id}`)).body
      t.notOk(
        data.some((entry: AuditEntry) => entry.event_id === event_id),
        what,
      )
    }
    const letters = await sql`select event_id, reason from audits.dead_letters`
    t.same(letters.map(({ event_id }) => event_id).sort(), [...ids].sort())
    t.ok(letters.every(({ reason }) => reason === 'audit.invalid_signature'))
    t.equal((await sql`select from audits.parked`).length, 3, 'entries with an unknown key are parked')
    const more = { ...sampleEntry(keys, 107), unsigned: 'member' }
    await record(app, [more])
    const { data } = (await api(`/audit?trace_id=${more.trace_id}`)).body
    t.notOk('unsigned' in data[0], 'unknown members are not stored')
  })

  await t.test('the list: newest first, filters, a cursor', async (t) => {
    const all = (await api('/audit?limit=100')).body.data
    t.equal(all.length, 47)
    t.same(
      all.map(({ id }: { id: number }) => id),
      all.map(({ id }: { id: number }) => id).toSorted((a: number, b: number) => b - a),
    )
    const { id, recorded_at, index: _, ...entry } = all.at(-1)
    t.same(entry, sent[0], 'as it was signed')
    t.match({ id, recorded_at }, { id: 1, recorded_at: /^\d{4}-.*Z$/ })
    t.match((await api('/audit/1')).body.data, entry)

    let cursor = ''
    const paged: unknown[] = []
    do {
      const { body } = await api(`/audit?limit=20${cursor && `&cursor=${cursor}`}`)
      paged.push(...body.data)
      cursor = body.next_cursor ?? ''
    } while (cursor)
    t.same(
      paged.map((one) => (one as { id: number }).id),
      all.map((one: { id: number }) => one.id),
    )

    const matches: [string, (entry: AuditEntry) => boolean][] = [
      ['actor_type=anonymous', ({ actor }) => actor.type === 'anonymous'],
      ['actor_type=user&actor_id=5', ({ actor }) => actor.type === 'user' && actor.id === '5'],
      ['resource_type=order&resource_id=7', ({ resource }) => resource.type === 'order' && resource.id === '7'],
      ['action=order.created', ({ action }) => action === 'order.created'],
      ['decision=denied', ({ decision }) => decision === 'denied'],
      ['decision=denied&actor_id=3', ({ decision, actor }) => decision === 'denied' && actor.id === '3'],
      [`trace_id=${sent[3]?.trace_id}`, ({ trace_id }) => trace_id === sent[3]?.trace_id],
      ['from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z', () => true],
      ['from=2100-01-01T00:00:00Z', () => false],
      ['to=2020-01-01T00:00:00Z', () => false],
      [
        `from=${recorded_at}&to=${new Date(Date.parse(recorded_at) + 1).toISOString()}&action=order.created`,
        ({ action, ...rest }) => action === 'order.created' && (rest as { recorded_at?: string }).recorded_at === recorded_at,
      ],
    ]
    for (const [query, holds] of matches) {
      const { data } = (await api(`/audit?limit=100&${query}`)).body
      t.same(data, all.filter(holds), query)
    }
    for (const query of ['decision=perhaps', 'from=yesterday', 'unknown=1', 'cursor=x', 'limit=101']) {
      t.match(await api(`/audit?${query}`), { status: 400 }, query)
    }
  })

  await t.test('every entry has a proof that an independent verifier accepts', async (t) => {
    await eventually(async () => (await api('/audit/checkpoint')).body.data?.size === 47)
    const { note } = (await api('/audit/checkpoint')).body.data
    const [, size, base64] = note.split('\n')
    t.equal(size, '47')
    t.ok(openCheckpoint(keys, note))
    const root = Buffer.from(base64, 'base64')
    const all = (await api('/audit?limit=100')).body.data
    for (const { index, ...entry } of all) {
      const { data } = (await api(`/audit/${entry.id}/proof`)).body
      const leaf = sha256(Buffer.from([0]), Buffer.from(canonicalize(entry) as string))
      t.match(data, { id: entry.id, index, tree_size: 47, leaf_hash: leaf.toString('base64'), checkpoint: note })
      const hashes = data.hashes.map((text: string) => Buffer.from(text, 'base64'))
      t.ok(isIncluded(leaf, index, 47, hashes, root), `entry ${entry.id}`)
      t.notOk(isIncluded(leaf, (index + 1) % 47, 47, hashes, root), 'not at another index')
    }
    t.match(await api('/audit/4711/proof'), { status: 404, body: { code: 'audit.not_found' } })
    // The sealer may seal the entry before the request; then try again.
    const id = await eventually(async () => {
      const late = sampleEntry(keys, 200)
      await record(app, [late])
      const [newest] = (await api(`/audit?limit=1&trace_id=${late.trace_id}`)).body.data
      const { status, body } = await api(`/audit/${newest.id}/proof`)
      return status === 409 && body.code === 'audit.not_sealed' && newest.id
    })
    await eventually(async () => (await api(`/audit/${id}/proof`)).body.data?.index === id - 1)
  })

  await t.test('the snapshot is the whole sealed trail, and verifies without the service', async (t) => {
    const response = await fetch(`${app.url}/api/v1/audit/snapshot`)
    t.match(response.headers.get('content-type'), /^application\/jsonl/)
    const text = await response.text()
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    t.match(lines[0], { format: 'orderhub-audit-snapshot/1', origin: 'orderhub/audit', size: lines.length - 2 })
    t.same(
      lines.slice(1, -1).map(({ index }) => index),
      Array.from({ length: (await api('/audit?limit=100')).body.count }, (_, n) => n),
    )
    const { data } = (await api('/audit/1')).body
    t.same({ ...lines[1].entry, index: lines[1].index }, data)
    const folder = mkdtempSync(join(tmpdir(), 'orderhub-snapshot-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    const file = join(folder, 'snapshot.jsonl')
    await writeFile(file, text)
    const trusted = openCheckpoint(keys, lines.at(-1).checkpoint)
    if (!trusted) throw new Error('the last line is not a checkpoint')
    t.match(await verifyTrail({ trail: await snapshotTrail(file), trusted, keys }), { size: lines.length - 2 })
  })
})

t.test('administrators can read the trail; users cannot', { timeout: 120_000 }, async (t) => {
  const { api, keysDir } = await runApp(t, { AUTH: 'on' })
  const [admin, user] = await Promise.all([signedIn(keysDir, 1), signedIn(keysDir, 2)])
  const created = await api('/products', 'POST', { sku: 'AUDIT-1', name: 'Audited', price: 10 }, admin)
  t.equal(created.status, 201)
  const [entry] = await eventually(async () => {
    const { body } = await api(`/audit?resource_type=product&resource_id=${created.body.data.id}`, 'GET', undefined, admin)
    return body.data?.length > 0 && body.data
  })
  t.match(entry, { action: 'product.created', decision: 'approved', actor: { type: 'user', id: '1' }, service: 'product' })
  for (const path of ['/audit', `/audit/${entry.id}`, `/audit/${entry.id}/proof`, '/audit/checkpoint', '/audit/snapshot']) {
    t.match(await api(path), { status: 401 }, path)
    t.match(await api(path, 'GET', undefined, user), { status: 403 }, path)
  }
})
