import { join } from 'node:path'
import t from 'tap'
import { AuditEntry, entryOf, isSigned } from '../../../../src/platform/audit/entry.ts'
import type { EventEnvelope } from '../../../../src/platform/events/event.ts'
import { initKeys } from '../../../../src/platform/keys/key-files.ts'
import { createKeyStore } from '../../../../src/platform/keys/key-store.ts'
import { parse } from '../../../../src/platform/schema.ts'
import { complianceTags } from '../../../../src/registry.ts'

const event: EventEnvelope = {
  id: '0199a1b2-0000-7000-8000-000000000001',
  type: 'order.created',
  aggregate_id: '17',
  version: 3,
  actor: { type: 'user', id: '2' },
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  policy_version: '2026-01-01.1',
  occurred_at: '2026-01-01T00:00:00.000Z',
  data: { order_id: 17, total: 30, currency: 'TWD', items: [{ product_id: 1, product: '滑鼠', quantity: 1, price: 30 }] },
}

const keysOf = async (folder: string, services = ['order', 'user']) => {
  await initKeys(folder, services)
  return createKeyStore({ folder, strict: false })
}

t.test('an event becomes an entry that is signed by its service', async (t) => {
  const keys = await keysOf(join(t.testdir(), 'keys'))
  const entry = entryOf(keys, 'order', event, complianceTags)
  t.match(entry, {
    event_id: event.id,
    timestamp: event.occurred_at,
    trace_id: '0af7651916cd43dd8448eb211c80319c',
    span_id: 'b7ad6b7169203331',
    actor: { type: 'user', id: '2' },
    resource: { type: 'order', id: '17', version: 3 },
    action: 'order.created',
    decision: 'approved',
    policy_version: '2026-01-01.1',
    compliance_tags: ['financial'],
    details: event.data,
    service: 'order',
  })
  t.ok(isSigned(keys, entry))
  t.same(parse(AuditEntry, JSON.parse(JSON.stringify(entry))), entry, 'JSON serialization does not change it')
  t.same(
    entryOf(keys, 'order', { ...event, data: { ...event.data } }, complianceTags),
    entry,
    'the same event gives the same entry',
  )
})

t.test('any change of an entry breaks its signature', async (t) => {
  const folder = t.testdir()
  const keys = await keysOf(join(folder, 'keys'))
  const entry = entryOf(keys, 'order', event, complianceTags)
  const reordered = Object.fromEntries(Object.entries(entry).reverse()) as AuditEntry
  t.ok(isSigned(keys, reordered), 'the order of members does not matter (RFC 8785)')
  const changes: Partial<Record<keyof AuditEntry, unknown>> = {
    event_id: '0199a1b2-0000-7000-8000-000000000002',
    timestamp: '2026-01-01T00:00:00.001Z',
    trace_id: '1af7651916cd43dd8448eb211c80319c',
    span_id: 'c7ad6b7169203331',
    actor: { type: 'user', id: '3' },
    resource: { ...entry.resource, version: 4 },
    action: 'order.cancelled',
    decision: 'denied',
    policy_version: '',
    compliance_tags: [],
    details: { ...entry.details, total: 31 },
    service: 'user',
    key_id: keys.signer('audit-entry-user').kid,
    signature: Buffer.alloc(64).toString('base64'),
  }
  t.same(Object.keys(changes).sort(), Object.keys(entry).sort(), 'every member is tested')
  for (const [member, value] of Object.entries(changes))
    t.notOk(isSigned(keys, { ...entry, [member]: value } as AuditEntry), member)
  const others = await keysOf(join(folder, 'others'))
  t.notOk(isSigned(keys, entryOf(others, 'order', event, complianceTags)), 'a key of another deployment')
})
