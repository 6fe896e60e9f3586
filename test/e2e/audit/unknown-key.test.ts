import { cpSync, mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { serviceNames } from '../../../src/environment.ts'
import type { AuditEntry } from '../../../src/platform/audit/entry.ts'
import { initKeys, publicFile } from '../../../src/platform/keys/key-files.ts'
import { createKeyStore } from '../../../src/platform/keys/key-store.ts'
import { rotateKeys } from '../../../src/platform/keys/rotate-keys.ts'
import { call, runApp } from '../../../testing/app.ts'
import { sampleEntry } from '../../../testing/audit.ts'
import { eventually } from '../../../testing/eventually.ts'
import { asService, signedIn } from '../../../testing/people.ts'
import { trailReader } from '../../../testing/trail.ts'

t.setTimeout(120_000)

/** A key folder, and a copy of it with rotated signing keys that the first does not have. */
const rotatedApart = async (t: Test) => {
  const folder = mkdtempSync(join(tmpdir(), 'orderhub-lag-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const [old, rotated] = [join(folder, 'old'), join(folder, 'rotated')]
  await initKeys(old, serviceNames)
  cpSync(old, rotated, { recursive: true })
  const names = serviceNames.map((name) => `audit-entry-${name}`)
  await rotateKeys({ folder: rotated, afterSeconds: 0, names })
  return { old, rotated, arrives: () => cpSync(join(rotated, publicFile), join(old, publicFile)) }
}

t.test('an event whose entry is signed with an unknown key waits, and is no dead letter', async (t) => {
  const { old, rotated, arrives } = await rotatedApart(t)
  const queue = { attempts: 2, backoffMs: 20 }
  const app = await runApp(t, { SERVICE: 'audit', KEYS_DIR: old }, { queue })
  const producer = await runApp(t, { SERVICE: 'product', KEYS_DIR: rotated, DATABASE_URL: app.databaseUrl }, { queue })
  const sql = postgres(app.databaseUrl, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  const read = trailReader(t, app.databaseUrl)
  const { status } = await producer.api('/products', 'POST', { sku: 'LAG-1', name: 'Lag', price: 10 })
  t.equal(status, 201)
  await eventually(async () => (await sql`select from products.outbox`).length === 0, { timeoutMs: 20_000 })
  t.same((await sql`select type from audits.dead_letters`).slice(), [], 'no dead letter')
  t.same(await read(), [])
  await eventually(async () => /^audit_parked [1-9]\d*$/m.test(await (await fetch(app.metricsUrl)).text()))

  arrives()
  const entries = await eventually(async () => {
    const found = await read()
    return found.length > 0 && found
  })
  t.ok(entries.some(({ action }) => action === 'product.created'))
  await eventually(async () => /^audit_parked 0$/m.test(await (await fetch(app.metricsUrl)).text()))
})

t.test('entries that a service sends directly wait too; a wrong signature is refused before and after', async (t) => {
  const { old, rotated, arrives } = await rotatedApart(t)
  const app = await runApp(t, { SERVICE: 'audit', AUTH: 'on', KEYS_DIR: old })
  const read = trailReader(t, app.databaseUrl)
  const sql = postgres(app.databaseUrl, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  const send = async (entries: AuditEntry[]) =>
    call(`${app.url}/internal/audit/record`, 'POST', { entries }, await asService(old, 'user', 'audit'))
  const [known, unknown] = [old, rotated].map((folder) => createKeyStore({ folder, strict: false }))
  if (!known || !unknown) throw new Error('keys are missing')
  const [waits, made] = [sampleEntry(unknown, 0), sampleEntry(known, 5)]
  const forgedLater = { ...sampleEntry(unknown, 10), action: 'order.cancelled' }
  // An attacker who sees the entry in flight sends another for the same event first: it must not displace the real one.
  const inItsPlace = { ...waits, action: 'order.cancelled' }
  t.match(await send([inItsPlace]), { status: 200, body: { recorded: 0 } })
  for (const _ of [1, 2]) t.equal((await send([waits, forgedLater])).status, 200, 'accepted, also when repeated')
  t.match(await send([{ ...made, action: 'order.cancelled' }]), { status: 422, body: { code: 'audit.invalid_signature' } })
  t.match(await send([made]), { status: 200, body: { recorded: 1 } }, 'a valid entry does not wait for others')

  arrives()
  await eventually(async () => (await read()).some(({ event_id }) => event_id === waits.event_id))
  await eventually(async () => (await sql`select from audits.parked`).length === 0)
  const ours = (await read()).filter(({ service }) => service === 'user')
  t.same(
    ours.map(({ event_id, action }) => [event_id, action]).sort(),
    [waits, made].map(({ event_id, action }) => [event_id, action]).sort(),
  )
  const letters = await sql`select event_id, reason from audits.dead_letters where type = 'order.cancelled'`
  t.same(
    letters.map(({ event_id }) => event_id).sort(),
    [forgedLater.event_id, inItsPlace.event_id, made.event_id].sort(),
    'the others are dead letters',
  )
})

t.test('refusals wait in the audit service, not in the process that refused', async (t) => {
  const { old, rotated, arrives } = await rotatedApart(t)
  const audit = await runApp(t, { SERVICE: 'audit', AUTH: 'on', KEYS_DIR: old })
  const read = trailReader(t, audit.databaseUrl)
  const product = await runApp(t, { SERVICE: 'product', AUTH: 'on', KEYS_DIR: rotated, AUDIT_SERVICE_URL: audit.url })
  const trace = 'c'.repeat(32)
  const headers = { ...(await signedIn(old, 2)), traceparent: `00-${trace}-00000000000000aa-01` }
  const { status } = await product.api('/products/1', 'DELETE', undefined, headers)
  t.equal(status, 401)
  await eventually(async () => /^audit_parked 1$/m.test(await (await fetch(audit.metricsUrl)).text()))
  arrives()
  const entry = await eventually(async () => (await read()).find(({ trace_id }) => trace_id === trace) ?? false)
  t.match(entry, { service: 'product', action: 'DELETE /api/v1/products/:id' })
})
